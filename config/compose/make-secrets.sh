#!/usr/bin/env bash
# Makes the passwords and addresses that compose.yaml reads, each in a file of secrets/. What is there stays.
#
#   config/compose/make-secrets.sh [FOLDER]
set -euo pipefail
folder=${1:-"$(dirname "${BASH_SOURCE[0]}")/../../secrets"}

# Only the folder is closed: containers get the files one by one and read them with accounts of their own.
mkdir -p "$folder"
chmod 0700 "$folder"
umask 022

write() {
    [ -e "$folder/$1" ] || printf '%s' "$2" >"$folder/$1"
}

for login in owner gateway aggregator grafana grafana_admin; do
    write "${login}_password" "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
done
for login in owner gateway aggregator; do
    write "${login}_dsn" "postgresql://$login:$(cat "$folder/${login}_password")@database:5432/hj212"
done
