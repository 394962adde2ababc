-- What each peer stores, the same for all three.
CREATE TABLE payments (
    id uuid PRIMARY KEY,
    ride_id text NOT NULL,
    user_id text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    session_id text UNIQUE,
    url text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE events (
    id text PRIMARY KEY,
    type text NOT NULL,
    body text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE notifications (
    id bigserial PRIMARY KEY,
    user_id text NOT NULL,
    frame text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX notifications_user_id_id ON notifications (user_id, id);
