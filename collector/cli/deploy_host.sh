# What `fleetdump deploy` runs on a host, as root, by sh: ACTION KEY=VALUE... It says "fact KEY=VALUE", "say WORDS" and "fail WORDS".
# Standard input of `install`: the token or "-", the operator's line or "-", the unit's number of bytes, the payload's; then unit and payload.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

action=$1
shift
mode=permanent collector="" allow=no forbid="" package=no
for pair in "$@"; do
    value=${pair#*=}
    case $pair in
    mode=*) mode=$value ;;
    collector=*) collector=$value ;;
    allow=*) allow=$value ;;
    forbid=*) forbid=$value ;;
    package=*) package=$value ;;
    esac
done

fail() {
    echo "fail $*"
    exit 1
}
must() { # COMMAND...: or it is said what it said
    said=$("$@" 2>&1) || fail "$(printf '%s' "${said:-$*}" | tail -n 2 | tr '\n' ' ')"
}

transient=/var/lib/fleetdump-transient
packaged=$(dpkg-query -W -f '${db:Status-Status} ${Version}' fleetdump-agent 2>/dev/null | sed -n 's/^installed //p')
mean() { # MODE: where all of it is
    mode=$1
    if [ "$mode" = transient ]; then
        etc=$transient data=$transient service=fleetdump-agent-transient unit=/run/systemd/system/fleetdump-agent-transient.service
        agent=$transient/fleetdump-agent monitor=root ship=64901 capture=64902
    else
        etc=/etc/fleetdump data=/var/lib/fleetdump-agent service=fleetdump-agent unit=/etc/systemd/system/fleetdump-agent.service
        agent=/usr/local/sbin/fleetdump-agent monitor=fleetdump-agent ship=fleetdump-ship capture=fleetdump-capture
        [ -z "$packaged" ] || agent=/usr/sbin/fleetdump-agent
    fi
    conf=$etc/agent.conf policy=$etc/policy.conf operators=$etc/operators pid_file=$data/agent.pid made=$data/deployed
}
mean "$mode"

has_systemd() {
    [ -d /run/systemd/system ]
}
pid() { # of one that runs without systemd
    [ -f "$pid_file" ] && read -r it <"$pid_file" && [ "$(cat "/proc/$it/comm" 2>/dev/null)" = fleetdump-agent ] && echo "$it"
}
runs() {
    if has_systemd; then
        systemctl is-active --quiet $service
    else
        pid >/dev/null
    fi
}
setting() { # KEY of the configuration
    sed -n "s/^$1 *= *//p" "$conf" 2>/dev/null | tail -n 1 | tr -d '"'
}

only_one() { # deploy at a time: the lock ends with this shell, and leaves no file
    if command -v flock >/dev/null && [ -d /run ]; then
        exec 9</run
        flock -n 9 || fail "another fleetdump deploy is at work there: try again when it is over"
    fi
}

# ---------------------------------------------------------------- probe
probe() {
    echo "fact machine=$(uname -m)"
    has_systemd && echo "fact systemd=yes"
    echo "fact package=$packaged"
    [ ! -x "$agent" ] || echo "fact agent=$(sha256sum "$agent" | cut -d ' ' -f 1)"
    [ ! -s "$data/tls/cert.pem" ] || echo "fact ca=$(sha256sum "$data/tls/ca.pem" | cut -d ' ' -f 1)"
    echo "fact name=$(setting name)"
    echo "fact collector=$(setting collector)"
    runs && echo "fact runs=yes"
    [ "$mode" = permanent ] || [ ! -e /var/lib/fleetdump-agent/tls/cert.pem ] || echo "fact other=permanent"
    [ "$mode" = transient ] || [ ! -e $transient ] || echo "fact other=transient"
    # shellcheck disable=SC2086  # words: address, port, address, port
    set -- ${SSH_CONNECTION:-}
    echo "fact ssh_port=${4:-22}"
    exit 0
}

# ---------------------------------------------------------------- install
put_package() {
    file=$(mktemp /tmp/fleetdump-agent.XXXXXX.deb) || fail "no room in /tmp"
    trap 'rm -f "$sent" "$file"' EXIT
    cat >"$file" || fail "no room in /tmp"
    chmod 644 "$file"
    export DEBIAN_FRONTEND=noninteractive
    must apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold --allow-downgrades "$file"
    rm -f "$file"
    agent=/usr/sbin/fleetdump-agent
}
put_agent() {
    mkdir -p "${agent%/*}"
    { cat >"$agent.new" && chmod 755 "$agent.new" && mv "$agent.new" "$agent"; } || fail "cannot write $agent"
    [ "$mode" = transient ] || echo "agent $agent" >>"$made"
}
check_libraries() {
    "$agent" --version >/dev/null 2>&1 && return
    lacking=$(ldd "$agent" 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' | tr '\n' ' ')
    [ -n "$lacking" ] || fail "$agent does not run here: $("$agent" --version 2>&1 | head -n 1)"
    fail "libraries are missing ($lacking): deploy with --package FILE, or there: apt-get install libcap-ng0 libpcap0.8 libprotobuf-c1 libssl3 libuv1 libxxhash0 libzstd1"
}
make_users() { # those of the package, or numbers that nobody has
    [ "$mode" = permanent ] || return 0
    for user in $monitor $ship $capture; do
        id "$user" >/dev/null 2>&1 && continue
        must useradd --system --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin "$user"
        echo "user $user" >>"$made"
    done
    must usermod --append --groups $ship $monitor
}
make_folders() {
    mkdir -p "$etc" "$data/spool" || fail "cannot make $data"
    make_users
    { chown "$monitor:" "$data" && chmod 711 "$data"; } || fail "cannot give $data to $monitor"
    { chown "$ship:$ship" "$data/spool" && chmod 2770 "$data/spool"; } || fail "cannot give $data/spool to $ship"
}
add_lines() { # FILE LINE...: behind what is there, whose last line its owner may not have ended
    to=$1
    shift
    [ -z "$(tail -c 1 "$to" 2>/dev/null)" ] || echo >>"$to"
    printf '%s\n' "$@" >>"$to"
}
says() { # KEY: the policy, whatever it says of it
    grep -q "^[[:space:]]*$1[[:space:]]*=" "$policy" 2>/dev/null
}
configure() {
    if [ "$mode" = transient ] && [ ! -f "$conf" ]; then
        cat >"$conf" <<END
spool = $data/spool
tls = $data/tls
policy = $policy
operators = $operators
ship_user = $ship
capture_user = $capture
END
    fi
    [ "$1" = - ] || grep -qxF -e "$1" "$operators" 2>/dev/null || add_lines "$operators" "$1"
    if [ "$allow" = yes ] && ! says allow; then
        add_lines "$policy" "allow = yes"
        says baseline || add_lines "$policy" "baseline = yes"
    fi
    [ -z "$forbid" ] || grep -qx "forbid_port = $forbid" "$policy" 2>/dev/null || add_lines "$policy" "forbid_port = $forbid"
    chmod 644 "$operators" "$policy" 2>/dev/null
    grep -q '^[[:space:]]*allow[[:space:]]*=[[:space:]]*yes' "$policy" 2>/dev/null && echo "fact allowed=yes"
}
join() {
    [ "$1" != - ] || return 0
    set -- "$1" "$agent" join - --config "$conf" ${collector:+--collector "$collector"}
    token=$1
    shift
    said=$(printf '%s\n' "$token" | "$@" 2>&1) || fail "it cannot join, its agent says: $(printf '%s' "$said" | tail -n 1 | sed 's/^fleetdump-agent: //')"
}
start_plain() {
    [ "$mode" = transient ] || fail "no systemd here: deploy with --transient, which then starts a plain process"
    setsid "$agent" --config "$conf" </dev/null >>"$data/log" 2>&1 9<&- &
    echo $! >"$pid_file"
    n=0
    while [ $n -lt 10 ]; do
        sleep 0.1
        pid >/dev/null || fail "the agent ended at once: $(tail -n 1 "$data/log" | cut -d ' ' -f 3-)"
        n=$((n + 1))
    done
}
start() { # whether the unit was sent: "" or its file
    if ! has_systemd; then
        stop
        start_plain
        return
    fi
    if [ -z "$packaged" ] || [ "$mode" = transient ]; then
        sed -e "s#^ExecStart=.*#ExecStart=$agent --config $conf#" "$1" >"$1.new"
        # Users that have numbers alone are none for systemd: the monitor is root's then, and passes over their files' owners.
        [ "$mode" = permanent ] || sed -i -e '/^User=/d; /^Group=/d; /^AmbientCapabilities=/d' \
            -e 's/^CapabilityBoundingSet=.*/& CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE/' -e "s#^ReadWritePaths=.*#ReadWritePaths=$data#" "$1.new"
        mkdir -p "${unit%/*}"
        cat "$1.new" >$unit
        rm -f "$1.new"
        [ "$mode" = transient ] || echo "unit $unit" >>"$made"
        must systemctl daemon-reload
    fi
    [ "$mode" = transient ] || must systemctl --quiet enable $service
    must systemctl restart $service
}
stop() {
    if has_systemd; then
        systemctl stop $service 2>/dev/null
        return 0
    fi
    it=$(pid) || return 0
    kill "$it"
    n=0
    while pid >/dev/null && [ $n -lt 300 ]; do
        sleep 0.1
        n=$((n + 1))
    done
    pid >/dev/null && kill -9 "$it"
    return 0
}
install_all() {
    { read -r token && read -r operator && read -r unit_bytes && read -r bytes; } || fail "nothing came through ssh"
    [ "$mode" = transient ] || has_systemd || fail "no systemd here: deploy with --transient, which then starts a plain process"
    umask 022
    make_folders
    sent=$(mktemp) || fail "no room in /tmp"
    trap 'rm -f "$sent"' EXIT
    head -c "$unit_bytes" >"$sent"
    if [ "$bytes" != 0 ] && [ "$package" = yes ]; then
        put_package
        packaged=yes
    elif [ "$bytes" != 0 ]; then
        put_agent
    fi
    check_libraries
    configure "$operator"
    join "$token"
    start "$sent"
    [ ! -f "$made" ] || sort -u -o "$made" "$made"
    exit 0
}

# ---------------------------------------------------------------- remove
is_there() {
    [ -e "$data" ] || [ -e "$conf" ] || { [ "$mode" = permanent ] && [ -n "$packaged" ]; }
}
remove_it() {
    stop
    if [ "$mode" = permanent ] && [ -n "$packaged" ]; then
        export DEBIAN_FRONTEND=noninteractive
        must apt-get purge -y -qq fleetdump-agent
    elif [ "$mode" = permanent ]; then
        has_systemd && systemctl --quiet disable $service 2>/dev/null
        sed -n 's/^agent //p; s/^unit //p' "$made" 2>/dev/null | while read -r file; do rm -f "$file"; done
        users=$(sed -n 's/^user //p' "$made" 2>/dev/null)
        rm -f "$conf" "$policy" "$operators" "$etc/stop"
        rmdir "$etc" 2>/dev/null
        for user in $users; do userdel "$user" 2>/dev/null; done
    fi
    rm -f $unit
    has_systemd && systemctl daemon-reload
    must rm -rf "$data" "$data.orders" "$data.audit"
    echo "fact removed=$mode"
}
remove() { # that which is there; with mode=transient no other
    wanted=$mode
    for one in transient permanent; do
        mean $one
        is_there || continue
        if [ "$wanted" = transient ] && [ $one = permanent ]; then
            echo "fact other=$one"
        else
            remove_it
        fi
    done
    exit 0
}

[ "$(id -u)" = 0 ] || fail "this needs root: ssh as root, or let sudo ask for no password there"
case $action in
probe) probe ;;
install) only_one && install_all ;;
remove) only_one && remove ;;
esac
