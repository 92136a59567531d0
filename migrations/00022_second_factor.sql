-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE TABLE account_totp (
    account_id   bigint      NOT NULL,
    secret       bytea       NOT NULL,
    last_step    bigint      NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    CONSTRAINT account_totp_pkey PRIMARY KEY (account_id),
    CONSTRAINT account_totp_account_fkey FOREIGN KEY (account_id) REFERENCES account (id) ON DELETE CASCADE
);
COMMENT ON TABLE account_totp IS
    'The second factor of an account (RFC 6238): its sealed secret. It counts from confirmed_at on, when one code has proved that the phone has it. last_step is the time step of the last code that was used; only later ones are taken.';

CREATE TABLE recovery_code (
    account_id bigint NOT NULL,
    hash       bytea  NOT NULL,
    CONSTRAINT recovery_code_pkey PRIMARY KEY (account_id, hash),
    CONSTRAINT recovery_code_totp_fkey FOREIGN KEY (account_id) REFERENCES account_totp (account_id) ON DELETE CASCADE
);
COMMENT ON TABLE recovery_code IS
    'What is typed in place of a code of the phone that was lost, as SHA-256. One that is used is deleted.';

CREATE TABLE account_identity (
    issuer     text        NOT NULL,
    subject    text        NOT NULL,
    account_id bigint      NOT NULL,
    linked_by  text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT account_identity_pkey PRIMARY KEY (issuer, subject),
    CONSTRAINT account_identity_one_each UNIQUE (account_id, issuer),
    CONSTRAINT account_identity_account_fkey FOREIGN KEY (account_id) REFERENCES account (id) ON DELETE CASCADE,
    CONSTRAINT account_identity_subject_form CHECK (subject <> '' AND length(subject) <= 255)
);
COMMENT ON TABLE account_identity IS
    'Who a person is at an OpenID provider: the pair of iss and sub, which alone is unique and never given again, and the account that an administrator linked it to.';

-- +goose Down
DROP TABLE account_identity, recovery_code, account_totp;
