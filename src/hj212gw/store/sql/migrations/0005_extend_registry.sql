-- Purpose: what a data logger is allowed beyond the standard, as dated rows.

CREATE TABLE hj212.dialects (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mn text COLLATE "C" NOT NULL,
    dialect text NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);

CREATE TABLE hj212.time_labels (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mn text COLLATE "C" NOT NULL,
    st text COLLATE "C" NOT NULL DEFAULT '',
    cn text COLLATE "C" NOT NULL,
    label text NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);

CREATE TABLE hj212.units (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mn text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    factor text COLLATE "C" NOT NULL,
    unit text NOT NULL,
    scale double precision NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
