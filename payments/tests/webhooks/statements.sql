-- What an event names is read (payments/sql.py):
WITH
owner AS (SELECT intent_id AS name, payment_id AS id
    FROM json_array_elements_text(%s) AS value CROSS JOIN LATERAL (SELECT * FROM payments_intent WHERE intent_id = value LIMIT 1) AS intents
    UNION ALL SELECT session_id, id
    FROM json_array_elements_text(%s) AS value CROSS JOIN LATERAL (SELECT * FROM payments_payment WHERE session_id = value LIMIT 1) AS sessions),
payment AS (SELECT xmin::text AS version, id, ride_id, user_id, status, facts, attention, session_id, payment_intent_id, ride_claim
    FROM (SELECT value::uuid AS key FROM json_array_elements_text(%s) AS value UNION SELECT id FROM owner) AS named CROSS JOIN LATERAL (SELECT xmin, * FROM payments_payment WHERE id = key LIMIT 1) AS payments)
SELECT 'payment' AS part, version AS name, to_json(payment)::text AS value
FROM payment
UNION ALL SELECT 'owner', name, CAST(id AS text)
FROM owner
UNION ALL SELECT 'event', event_id, NULL
FROM json_array_elements_text(%s) AS value CROSS JOIN LATERAL (SELECT *
    FROM payments_webhookevent
    WHERE event_id = value LIMIT 1) AS events;

-- The same, and its payments are locked:
WITH
owner AS (SELECT intent_id AS name, payment_id AS id
    FROM json_array_elements_text(%s) AS value CROSS JOIN LATERAL (SELECT * FROM payments_intent WHERE intent_id = value LIMIT 1) AS intents
    UNION ALL SELECT session_id, id
    FROM json_array_elements_text(%s) AS value CROSS JOIN LATERAL (SELECT * FROM payments_payment WHERE session_id = value LIMIT 1) AS sessions),
payment AS (SELECT xmin::text AS version, id, ride_id, user_id, status, facts, attention, session_id, payment_intent_id, ride_claim
    FROM payments_payment
    WHERE id = ANY (ARRAY(SELECT value::uuid FROM json_array_elements_text(%s) AS value UNION ALL SELECT id FROM owner))
    ORDER BY id FOR NO KEY UPDATE)
SELECT 'payment' AS part, version AS name, to_json(payment)::text AS value
FROM payment
UNION ALL SELECT 'owner', name, CAST(id AS text)
FROM owner
UNION ALL SELECT 'event', event_id, NULL
FROM json_array_elements_text(%s) AS value CROSS JOIN LATERAL (SELECT *
    FROM payments_webhookevent
    WHERE event_id = value LIMIT 1) AS events;

-- What an event adds is written. What it does not add is left out:
WITH
seen AS (SELECT *
    FROM json_to_recordset(%s) AS seen (id uuid, version text)),
unchanged AS (SELECT id
    FROM payments_payment
    WHERE id = ANY (ARRAY(SELECT id FROM seen)) AND xmin::text = (SELECT version FROM seen WHERE seen.id = payments_payment.id)
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED),
event AS (INSERT INTO payments_webhookevent (event_id, type, body, api_version, livemode, object_id, payment_intent_id, created_at, received_at, deliveries, state, attempts, applied_at, reason, error, payment_id)
    SELECT event_id, type, body, api_version, livemode, object_id, payment_intent_id, created_at, received_at, deliveries, state, attempts, applied_at, reason, error, payment_id
    FROM json_populate_recordset(NULL::payments_webhookevent, %s) AS new
    WHERE (SELECT set_config('lock_timeout', '250ms', true)) IS NOT NULL AND (SELECT count(*) FROM unchanged) = (SELECT count(*) FROM seen)
    RETURNING event_id, id),
incoming AS (SELECT *
    FROM json_to_recordset(%s) AS item (place integer, user_id text, newer integer, frame text, collapse_key text, created_at timestamptz, expires_at timestamptz)
    WHERE (SELECT count(*) FROM event) > 0),
feed AS (INSERT INTO notifications_feed (user_id, last_seq, latest_connection)
    SELECT user_id, count(*), ''
    FROM incoming
    WHERE true
    GROUP BY user_id
    ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE
    SET last_seq = notifications_feed.last_seq + excluded.last_seq
    RETURNING id, user_id, last_seq),
notification AS (INSERT INTO notifications_notification (feed_id, seq, frame, collapse_key, created_at, expires_at)
    SELECT feed.id, feed.last_seq - newer, frame, collapse_key, created_at, expires_at
    FROM incoming JOIN feed AS feed ON feed.user_id = incoming.user_id),
numbered AS (SELECT place, feed.last_seq - newer AS seq
    FROM incoming JOIN feed AS feed ON feed.user_id = incoming.user_id),
payment AS (WITH new AS (SELECT * FROM json_populate_recordset(NULL::payments_payment, %s) AS new) UPDATE payments_payment
    SET facts = new.facts, status = new.status, attention = new.attention, ride_claim = new.ride_claim, session_id = new.session_id, payment_intent_id = new.payment_intent_id
    FROM new
    WHERE payments_payment.id = new.id AND payments_payment.id = ANY (ARRAY(SELECT id FROM new)) AND (SELECT count(*) FROM feed) > 0
    RETURNING 1),
intent AS (INSERT INTO payments_intent (intent_id, payment_id, created_at)
    SELECT intent_id, payment_id, created_at
    FROM json_populate_recordset(NULL::payments_intent, %s) AS new
    WHERE (SELECT count(*) FROM payment) > 0
    ON CONFLICT (intent_id) DO UPDATE
    SET payment_id = EXCLUDED.payment_id, created_at = CASE WHEN coalesce(payments_intent.payment_id, EXCLUDED.payment_id) = EXCLUDED.payment_id THEN payments_intent.created_at END
    WHERE EXCLUDED.payment_id IS NOT NULL
    RETURNING 1),
change AS (INSERT INTO payments_statuschange (payment_id, before, after, cause, api_key, event_id, seq, created_at)
    SELECT new.payment_id, new.before, new.after, new.cause, new.api_key, coalesce(new.event_id, (SELECT id FROM event WHERE event.event_id = item ->> 'event')), (SELECT numbered.seq FROM numbered WHERE numbered.place = (item ->> 'place')::integer), new.created_at
    FROM json_array_elements(%s) AS item, json_populate_record(NULL::payments_statuschange, item) AS new
    WHERE (SELECT count(*) FROM payment) > 0),
refund AS (WITH new AS (SELECT * FROM json_populate_recordset(NULL::payments_refundrequest, %s) AS new) UPDATE payments_refundrequest
    SET refund_id = new.refund_id, refund_status = new.refund_status
    FROM new
    WHERE payments_refundrequest.id = new.id AND payments_refundrequest.id = ANY (ARRAY(SELECT id FROM new)) AND (SELECT count(*) FROM payment) > 0 AND payments_refundrequest.refund_id = '' AND payments_refundrequest.amount = new.amount AND payments_refundrequest.payment_id = new.payment_id
    RETURNING 1)
SELECT 'event' AS part, event_id AS key, id AS number, NULL AS segment
FROM event
UNION ALL SELECT 'feed', place::text, seq, segment
FROM (SELECT place, seq, (SELECT TIMELINE) AS segment
    FROM numbered) AS written;

-- What became of stored events is written:
WITH
new AS (SELECT *
    FROM json_populate_recordset(NULL::payments_webhookevent, %s) AS new) UPDATE payments_webhookevent
SET state = new.state, reason = new.reason, attempts = new.attempts, applied_at = new.applied_at, error = new.error, payment_id = new.payment_id, payment_intent_id = new.payment_intent_id
FROM new
WHERE payments_webhookevent.id = new.id AND payments_webhookevent.id = ANY (ARRAY(SELECT id FROM new)) AND true
RETURNING 1;

-- The payments of a ride are read:
SELECT id, ride_claim, facts
FROM payments_payment
WHERE ride_id = %s
ORDER BY created_at;

-- A new payment is written:
INSERT INTO payments_payment (id, ride_id, user_id, amount, currency, description, status, facts, attention, session_id, payment_intent_id, payment_url, expires_at, link_seq, stripe_params, attempt, checked_at, stripe_error, api_key, idempotency_key, request_digest, ride_claim, created_at)
SELECT id, ride_id, user_id, amount, currency, description, status, facts, attention, session_id, payment_intent_id, payment_url, expires_at, link_seq, stripe_params, attempt, checked_at, stripe_error, api_key, idempotency_key, request_digest, ride_claim, created_at
FROM json_populate_recordset(NULL::payments_payment, %s) AS new
WHERE true
RETURNING xmin::text;

-- Its link is written, once Stripe has made its session:
WITH
seen AS (SELECT *
    FROM json_to_recordset(%s) AS seen (id uuid, version text)),
unchanged AS (SELECT id
    FROM payments_payment
    WHERE id = ANY (ARRAY(SELECT id FROM seen)) AND xmin::text = (SELECT version FROM seen WHERE seen.id = payments_payment.id)
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED),
incoming AS (SELECT *
    FROM json_to_recordset(%s) AS item (place integer, user_id text, newer integer, frame text, collapse_key text, created_at timestamptz, expires_at timestamptz)
    WHERE true AND (SELECT count(*) FROM unchanged) = (SELECT count(*) FROM seen)),
feed AS (INSERT INTO notifications_feed (user_id, last_seq, latest_connection)
    SELECT user_id, count(*), ''
    FROM incoming
    WHERE true
    GROUP BY user_id
    ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE
    SET last_seq = notifications_feed.last_seq + excluded.last_seq
    RETURNING id, user_id, last_seq),
notification AS (INSERT INTO notifications_notification (feed_id, seq, frame, collapse_key, created_at, expires_at)
    SELECT feed.id, feed.last_seq - newer, frame, collapse_key, created_at, expires_at
    FROM incoming JOIN feed AS feed ON feed.user_id = incoming.user_id),
numbered AS (SELECT place, feed.last_seq - newer AS seq
    FROM incoming JOIN feed AS feed ON feed.user_id = incoming.user_id),
link AS (WITH new AS (SELECT * FROM json_populate_recordset(NULL::payments_payment, %s) AS new) UPDATE payments_payment
    SET session_id = new.session_id, payment_url = new.payment_url, expires_at = new.expires_at, stripe_error = new.stripe_error, link_seq = (SELECT seq FROM numbered)
    FROM new
    WHERE payments_payment.id = new.id AND payments_payment.id = ANY (ARRAY(SELECT id FROM new)) AND (SELECT count(*) FROM feed) > 0
    RETURNING 1)
SELECT 'feed', place::text, seq, segment
FROM (SELECT place, seq, (SELECT TIMELINE) AS segment
    FROM numbered) AS written;
