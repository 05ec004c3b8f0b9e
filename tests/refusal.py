"""A database that refuses certain rows, whatever the code above it lets through."""


async def refuse_rows(connection, table, condition):
    """Let a table of the gateway raise a data exception for rows whose `NEW` fulfils a condition."""
    await connection.execute(
        f"""
        CREATE OR REPLACE FUNCTION hj212.refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'no such value' USING ERRCODE = 'data_exception'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON hj212.{table} FOR EACH ROW
            WHEN ({condition}) EXECUTE FUNCTION hj212.refuse()
        """
    )
