# Starts one private Postgres for its users and stops it when the last one is gone. See the package's documentation.
#
#   sh supervise.sh PG_CTL DATA LOG ACK
#
# fd 3: the pipe; each user holds its other end. fd 4: a lock, held by being open. Neither may reach Postgres itself,
# which would then hold them for as long as it runs.
pg_ctl=$1 data=$2 log=$3 ack=$4

ensure_running() {
    "$pg_ctl" status -D "$data" >/dev/null 2>&1 ||
        "$pg_ctl" start -D "$data" -l "$log" -w -t 120 >/dev/null 2>&1
}

while read -r token <&3; do
    ensure_running 3<&- 4<&-
    echo "$token $?" >"$ack.new" && mv -f "$ack.new" "$ack"
done

# Nobody is left. The stop must end within 10 s, so a checkpoint that takes too long is left to the next start's recovery.
# The pipe stays open until it has: a newcomer then knows that its hello is not answered by a server about to go.
"$pg_ctl" stop -D "$data" -m fast -w -t 6 >/dev/null 2>&1 4<&- ||
    "$pg_ctl" stop -D "$data" -m immediate -w -t 2 >/dev/null 2>&1 4<&-
