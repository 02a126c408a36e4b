CREATE TABLE IF NOT EXISTS schools (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    school_name TEXT NOT NULL UNIQUE,
    is_deleted  BOOLEAN NOT NULL DEFAULT FALSE,
    created_at  TIMESTAMP NOT NULL,
    updated_at  TIMESTAMP NOT NULL
);

-- email keeps the spelling that its owner chose (domain in lower case); email_key is that address in lower case as a
-- whole, made by the application, so that both databases agree on what is the same address.
CREATE TABLE IF NOT EXISTS users (
    user_id        TEXT PRIMARY KEY,
    school_id      BIGINT REFERENCES schools (id),
    email          TEXT NOT NULL,
    email_key      TEXT NOT NULL UNIQUE,
    password       TEXT NOT NULL,
    nickname       TEXT NOT NULL DEFAULT '',
    admission_year INTEGER,
    first_name     TEXT NOT NULL DEFAULT '',
    last_name      TEXT NOT NULL DEFAULT '',
    name           TEXT NOT NULL DEFAULT '',
    is_active      BOOLEAN NOT NULL DEFAULT TRUE,
    is_staff       BOOLEAN NOT NULL DEFAULT FALSE,
    is_superuser   BOOLEAN NOT NULL DEFAULT FALSE,
    is_admin       BOOLEAN NOT NULL DEFAULT FALSE,
    last_login     TIMESTAMP,
    created_at     TIMESTAMP NOT NULL,
    updated_at     TIMESTAMP NOT NULL
);

-- A refresh token is a row; tokens that came of one sign-in by rotation share a family.
CREATE TABLE IF NOT EXISTS refresh_tokens (
    id         TEXT PRIMARY KEY,
    family     TEXT NOT NULL,
    parent     TEXT,
    user_id    TEXT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    hash       BLOB NOT NULL,
    ip         TEXT NOT NULL DEFAULT '',
    user_agent TEXT NOT NULL DEFAULT '',
    expires_at TIMESTAMP NOT NULL,
    used_at    TIMESTAMP,
    revoked_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE INDEX IF NOT EXISTS refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX IF NOT EXISTS refresh_tokens_user ON refresh_tokens (user_id);
CREATE INDEX IF NOT EXISTS refresh_tokens_expires ON refresh_tokens (expires_at);

CREATE TABLE IF NOT EXISTS boards (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    school_id  BIGINT NOT NULL REFERENCES schools (id),
    category   TEXT NOT NULL,
    name       TEXT NOT NULL,
    is_deleted BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE INDEX IF NOT EXISTS boards_school ON boards (school_id, id) WHERE NOT is_deleted;

CREATE TABLE IF NOT EXISTS posts (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    board_id   BIGINT NOT NULL REFERENCES boards (id),
    user_id    TEXT NOT NULL REFERENCES users (user_id),
    title      TEXT NOT NULL,
    content    TEXT NOT NULL,
    anonymous  BOOLEAN NOT NULL DEFAULT FALSE,
    is_deleted BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE INDEX IF NOT EXISTS posts_board ON posts (board_id, id) WHERE NOT is_deleted;
CREATE INDEX IF NOT EXISTS posts_user ON posts (user_id);

-- The mailbox that takes outgoing mail when SMTP_URL is mailbox:. message_id makes the delivery of one job idempotent.
CREATE TABLE IF NOT EXISTS mailbox_messages (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id  TEXT NOT NULL UNIQUE,
    recipient   TEXT NOT NULL,
    subject     TEXT NOT NULL,
    text        TEXT NOT NULL,
    received_at TIMESTAMP NOT NULL
);

-- One row a running worker, kept fresh by its heartbeat; id is the job queue's client id (attempted_by of its jobs).
CREATE TABLE IF NOT EXISTS workers (
    id           TEXT PRIMARY KEY,
    host         TEXT NOT NULL,
    pid          INTEGER NOT NULL,
    version      TEXT NOT NULL,
    queues       TEXT NOT NULL,
    concurrency  INTEGER NOT NULL,
    running      INTEGER NOT NULL DEFAULT 0,
    processed    BIGINT NOT NULL DEFAULT 0,
    succeeded    BIGINT NOT NULL DEFAULT 0,
    failed       BIGINT NOT NULL DEFAULT 0,
    retried      BIGINT NOT NULL DEFAULT 0,
    load1        REAL NOT NULL DEFAULT 0,
    load5        REAL NOT NULL DEFAULT 0,
    load15       REAL NOT NULL DEFAULT 0,
    started_at   TIMESTAMP NOT NULL,
    heartbeat_at TIMESTAMP NOT NULL,
    stopped_at   TIMESTAMP
);
