#!/bin/sh
# Makes the logins of the services, or gives them their passwords again; run by compose.yaml beside the database.
set -eu

secret() {
    cat "/run/secrets/$1_password"
}

PGPASSWORD=$(secret owner)
export PGPASSWORD
for pair in gateway:hj212_gateway aggregator:hj212_aggregator grafana:hj212_analyst; do
    login=${pair%%:*}
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set="login=$login" --set="password=$(secret "$login")" \
        --set="role=${pair#*:}" <<'SQL'
SELECT format('CREATE ROLE %I LOGIN', :'login')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'login') \gexec
ALTER ROLE :"login" PASSWORD :'password';
GRANT :"role" TO :"login";
SQL
done
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --command="ALTER ROLE grafana SET statement_timeout = '30s'"
