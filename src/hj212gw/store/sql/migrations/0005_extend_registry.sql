-- Stand-in for the registry's own migration of this number: only what retention reads.
CREATE TABLE hj212.channels (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mn text COLLATE "C" NOT NULL,
    st text COLLATE "C" NOT NULL DEFAULT '',
    factor text COLLATE "C" NOT NULL DEFAULT '',
    outlet text COLLATE "C" NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);

CREATE TABLE hj212.legal_holds (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outlet text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
