-- Fills an empty, migrated database with growth.users users and what they were sent in 40 days.
--
-- A user has 3 to 17 notifications, 10 on average; one in 10,000 has 5,000, none of them confirmed, and every second of
-- these has been quiet for 20 days. rider_1 has 100,000, none of them confirmed. Three notifications are about one payment.
-- What is done is in the order of time, as in life: a user's rows lie far apart on the disk. Ids are made of the user's and the payment's number, so that each run has the same.

SELECT setseed(0.5);
SET session_replication_role = replica;  -- foreign keys are right by construction

CREATE TEMPORARY TABLE rider AS
SELECT n, 'rider_' || n AS user_id,
    CASE WHEN n = 1 THEN 100000 WHEN n % 10000 = 0 THEN 5000 ELSE 3 + n::bigint * 7919 % 15 END AS total,
    now() - interval '40 days' AS since,
    CASE WHEN n % 20000 = 0 THEN interval '20 days' ELSE interval '40 days' END AS span
FROM generate_series(1, current_setting('growth.users')::int) AS n;

INSERT INTO notifications_feed (id, user_id, last_seq, confirmed_seq, latest_connection)
SELECT n, user_id, total, CASE WHEN total >= 5000 THEN 0 ELSE total - n % 4 END, '' FROM rider;

CREATE TEMPORARY TABLE sent AS
SELECT n, user_id, seq, (seq + 2) / 3 AS ride, seq % 3 AS step, total = seq AS is_last,
    md5(n || ':' || (seq + 2) / 3) AS code, since + span * ((seq - random()) / total) AS at
FROM rider CROSS JOIN LATERAL generate_series(1, total) AS seq;

INSERT INTO notifications_notification (feed_id, seq, frame, collapse_key, redeliveries, created_at, expires_at)
SELECT n, seq,
    CASE step
        WHEN 1 THEN format(
            '{"type":"payment_url","rideId":"ride_%1$s_%2$s","paymentUrl":"https://checkout.stripe.com/c/pay/cs_live_%3$s%3$s#%3$s","status":"pending"}',
            n, ride, code)
        ELSE format(
            '{"type":"payment_status_update","rideId":"ride_%s_%s","status":"%s","stripeSessionId":"cs_live_%s%4$s"}',
            n, ride, CASE step WHEN 2 THEN 'processing' ELSE 'succeeded' END, code)
    END,
    'payment:' || code::uuid, 0, at, at + CASE step WHEN 1 THEN interval '1 day' ELSE interval '7 days' END
FROM sent ORDER BY at;

-- A payment begins with its first notification. It is paid with its third; without one it is open for a day.
CREATE TEMPORARY TABLE sale AS
SELECT first.n, first.user_id, first.ride, first.code, first.at AS began, paid.at AS paid,
    CASE
        WHEN paid.at IS NOT NULL AND first.n % 100 = 7 THEN 'refunded'
        WHEN paid.at IS NOT NULL AND first.n % 1000 = 11 THEN 'disputed'
        WHEN paid.at IS NOT NULL THEN 'succeeded'
        WHEN first.at > now() - interval '1 day' THEN 'pending'
        ELSE 'expired'
    END AS status,
    CASE WHEN first.n % 5000 = 13 THEN 'chf' WHEN first.n % 10 = 3 THEN 'eur' ELSE 'usd' END AS currency
FROM sent AS first
LEFT JOIN sent AS paid ON paid.n = first.n AND paid.ride = first.ride AND paid.step = 0
WHERE first.step = 1;

INSERT INTO payments_payment (
    id, ride_id, user_id, amount, currency, description, status, attention, facts, session_id, payment_intent_id,
    payment_url, expires_at, link_seq, stripe_params, attempt, checked_at, stripe_error, idempotency_key, request_digest,
    ride_claim, api_key, created_at)
SELECT code::uuid, format('ride_%s_%s', n, ride), user_id, 1500, currency, '', status,
    CASE WHEN status = 'disputed' THEN 'dispute' WHEN n % 100000 = 31 THEN 'other_sum' ELSE '' END,
    CASE
        WHEN paid IS NOT NULL THEN jsonb_build_object(
            'asked', '1500 ' || currency,
            'paid', jsonb_build_object(
                'pi_' || code, jsonb_build_object('1500 ' || currency, extract(epoch FROM paid)::bigint)))
        WHEN status = 'expired' THEN jsonb_build_object(
            'asked', '1500 ' || currency, 'expired', extract(epoch FROM began)::bigint + 86400)
        ELSE jsonb_build_object('asked', '1500 ' || currency)
    END,
    'cs_live_' || code || code, CASE WHEN paid IS NOT NULL THEN 'pi_' || code END,
    format('https://checkout.stripe.com/c/pay/cs_live_%1$s%1$s#%1$s', code),
    began + interval '1 day', ride * 3 - 2,
    jsonb_build_object('mode', 'payment', 'client_reference_id', code::uuid,
        'metadata', jsonb_build_object('payment_id', code::uuid, 'ride_id', format('ride_%s_%s', n, ride)),
        'success_url', 'https://rides.example.com/checkout/success',
        'cancel_url', 'https://rides.example.com/checkout/cancel'),
    1, CASE WHEN status = 'expired' THEN began + interval '1 hour' END, '', 'key_' || code, code || code,
    CASE WHEN status <> 'expired' THEN format('ride_%s_%s', n, ride) END, '', began
FROM sale ORDER BY began;

INSERT INTO payments_intent (intent_id, payment_id, created_at)
SELECT 'pi_' || code, code::uuid, paid FROM sale WHERE paid IS NOT NULL ORDER BY paid;

INSERT INTO payments_webhookevent (
    event_id, type, body, api_version, livemode, object_id, payment_intent_id, created_at, received_at, deliveries,
    state, attempts, applied_at, reason, error, payment_id)
SELECT 'evt_' || code, type,
    json_build_object('id', 'evt_' || code, 'object', 'event', 'type', type, 'livemode', true,
        'created', extract(epoch FROM paid)::bigint, 'api_version', '2026-10-28.endive',
        'data', json_build_object('object', json_build_object('id', 'cs_live_' || code || code,
            'object', 'checkout.session', 'client_reference_id', code::uuid,
            'metadata', json_build_object('payment_id', code::uuid), 'payment_intent', 'pi_' || code,
            'payment_status', 'paid', 'amount_total', 1500, 'currency', currency)))::text,
    '2026-10-28.endive', true, 'cs_live_' || code || code, 'pi_' || code, paid, paid, 1, state, 1,
    CASE state WHEN 'applied' THEN paid END,
    CASE WHEN state = 'failed' THEN 'error' WHEN state <> 'ignored' THEN ''
        WHEN n % 20000 = 23 THEN 'other_payment' ELSE 'type' END,
    CASE state WHEN 'failed' THEN 'ValueError: no amount' ELSE '' END,
    CASE state WHEN 'applied' THEN code::uuid END
FROM (
    SELECT *,
        CASE WHEN n % 20000 = 17 THEN 'parked' WHEN n % 20000 = 19 THEN 'failed' WHEN n % 200 = 23 THEN 'ignored'
            ELSE 'applied' END AS state,
        CASE WHEN n % 5000 = 29 THEN 'charge.dispute.created' ELSE 'checkout.session.completed' END AS type
    FROM sale WHERE paid IS NOT NULL
) AS paid_sale ORDER BY paid;

INSERT INTO payments_statuschange (
    payment_id, before, after, cause, api_key, event_id, pruned_event_id, pruned_event_type, created_at)
SELECT payment_id, 'pending', 'succeeded', 'event', '', id, '', '', received_at
FROM payments_webhookevent WHERE payment_id IS NOT NULL ORDER BY id;

DROP TABLE rider, sent, sale;
SELECT setval(pg_get_serial_sequence('notifications_feed', 'id'), (SELECT max(id) FROM notifications_feed));
SET session_replication_role = origin;
