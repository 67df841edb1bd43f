# Runs stages side by side for scripts/test, which sources this file and defines run_stage. A stage's output is shown in one
# piece when it ends.
# shellcheck shell=bash

stages_run=() # in the order in which they ended
declare -A result seconds cpu since name_of
not_run='' skipped=0

# prepare_run makes what all stages share: the lock of this checkout, a mark in the environment of every process, and a
# directory for temporary files of the user and one of root's, because the product trusts only files below root's directories.
prepare_run() {
	exec 8>"$out/lock"
	touch "$out/lock"
	flock -n 8 || { echo "scripts/test: another run works in this checkout, it is awaited"; flock 8; }
	LATCH_TEST_RUN=$$-$(date +%s)
	find_privileges
	user_dir=$(make_directory env) || exit 1
	root_dir=$(make_directory as_user_or_root) || exit 1
	export TMPDIR=$user_dir/tmp
	trap 'stop_run 129' HUP
	trap 'stop_run 130' INT
	trap 'stop_run 143' TERM
}

# make_directory prints the path of a new directory with tmp and home in it, which other users may enter. The command
# before it says whose it is.
make_directory() {
	"$@" sh -c 'dir=$(mktemp -d /tmp/latch-test-XXXXXX) && mkdir "$dir/tmp" "$dir/home" && chmod 755 "$dir" && echo "$dir"'
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# find_privileges sets $privileges: none, root, or machine where namespaces can be made too.
find_privileges() {
	privileges=none
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || return 0
		sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; } || return 0
	fi
	privileges=root
	if as_root unshare --mount --pid --net --ipc --uts --fork true 2>/dev/null; then privileges=machine; fi
}

# run_stages JOBS NAME... runs the stages, JOBS of them at the same time.
run_stages() {
	local jobs=$1 running=0 ended code
	shift
	while [ $# -gt 0 ] || [ "$running" -gt 0 ]; do
		while [ $# -gt 0 ] && [ "$running" -lt "$jobs" ]; do
			begin_stage "$1"
			running=$((running + 1))
			shift
		done
		code=0
		wait -n -p ended || code=$?
		running=$((running - 1))
		end_stage "$ended" "$code"
	done
}

# begin_stage gives the stage a process group of its own, so that stop_run reaches all of it.
begin_stage() {
	since[$1]=$SECONDS
	[ "$(id -u)" = 0 ] || [ "$privileges" = none ] || sudo -n -v
	set -m
	(
		trap - HUP INT TERM
		times=$PWD/$(log_of "$1").times
		trap 'times >"$times"' EXIT
		export LATCH_TEST_RUN
		run_stage "$1"
	) >"$(log_of "$1")" 2>&1 </dev/null 8>&- &
	set +m
	name_of[$!]=$1
}

log_of() { echo "$out/$(echo "$1" | tr / -).log"; }

end_stage() {
	local name=${name_of[$1]}
	unset "name_of[$1]"
	record_stage "$name" "$2" $((SECONDS - since[$name]))
	printf '\n== %s: %s, %d s\n' "$name" "${result[$name]}" "${seconds[$name]}"
	cat "$(log_of "$name")"
}

record_stage() {
	stages_run+=("$1")
	seconds[$1]=$3
	cpu[$1]=$(cpu_of "$(log_of "$1").times")
	if [ "$2" = 0 ]; then result[$1]=ok; else result[$1]=FAILED; fi
}

# cpu_of FILE adds up what the shell's times wrote: the seconds of processor time of a stage, however busy the machine was.
cpu_of() {
	[ -s "$1" ] || { echo 0; return; }
	tr -s ' ms' '\n' <"$1" | awk 'NR % 2 { all += 60 * $1; next } { all += $1 } END { printf "%.0f", all }'
}

# marked prints the ids of the processes that this run started and that have not ended: those that carry its mark, and
# those whose program lies in its directories (an authenticator has an empty environment).
marked() {
	{
		as_user_or_root grep -lzs "^LATCH_TEST_RUN=$LATCH_TEST_RUN\$" /proc/[0-9]*/environ
		as_user_or_root find /proc -mindepth 2 -maxdepth 2 -name exe \
			\( -lname "$user_dir/*" -o -lname "$root_dir/*" \) 2>/dev/null
	} | cut -d/ -f3 | sort -un
}

as_user_or_root() {
	if [ "$privileges" = none ]; then "$@"; else as_root "$@"; fi
}

# kill_marked sends a signal to every process that this run left, by its id.
kill_marked() {
	local ids
	ids=$(marked)
	# shellcheck disable=SC2086 # a list of numbers
	[ -z "$ids" ] || as_user_or_root kill "-$1" $ids 2>/dev/null || :
}

# check_leftovers is the last stage: no process, no temporary file and no file of another owner stays. What there is goes.
check_leftovers() {
	local left=0 ids files tries owner
	for ((tries = 0; tries < 20; tries++)); do # processes that were killed a moment ago still end
		ids=$(marked)
		[ -n "$ids" ] || break
		sleep 0.5
	done
	if [ -n "$ids" ]; then
		left=1
		echo "these processes were left:"
		# shellcheck disable=SC2086
		ps -o pid,ppid,user,args -p $ids
		kill_marked KILL
	fi
	files=$(as_user_or_root find "$user_dir/tmp" "$root_dir/tmp" -mindepth 1 -maxdepth 1 | sort -u)
	[ -z "$files" ] || { left=1; printf 'these temporary files were left:\n%s\n' "$files"; }
	owner=$(stat -c %u VERSION)
	files=$(find . -path ./.git -prune -o ! -user "$owner" -newer "$out/lock" -print)
	[ -z "$files" ] || [ "$(id -u)" != "$owner" ] || { left=1; printf 'these files of the tree belong to another user now:\n%s\n' "$files"; }
	return "$left"
}

remove_temporary() {
	as_user_or_root rm -rf "$user_dir" "$root_dir"
}

# stop_run ends every stage, and whatever escaped from its process group.
stop_run() {
	trap '' HUP INT TERM
	echo "scripts/test: interrupted, the stages are stopped: ${name_of[*]}" >&2
	local group
	for group in "${!name_of[@]}"; do
		as_user_or_root kill -TERM -- "-$group" 2>/dev/null
	done
	wait
	kill_marked KILL
	remove_temporary
	exit "$1"
}

# report prints the table, what failed, and the closing line. It returns 0 only if every stage ran and passed.
report() {
	local name passed=0 failed=() all=0
	printf '\n%-18s %-8s %7s %9s\n' stage result time processor
	for name in "${stages_run[@]}"; do
		printf '%-18s %-8s %5d s %7d s\n' "$name" "${result[$name]}" "${seconds[$name]}" "${cpu[$name]}"
		all=$((all + cpu[$name]))
		if [ "${result[$name]}" = ok ]; then passed=$((passed + 1)); else failed+=("$name"); fi
	done
	printf '%-18s %-8s %5d s %7d s\n' all '' "$SECONDS" "$all"
	for name in "${failed[@]}"; do
		printf '\nFAILED %s (%s)\n' "$name" "$(log_of "$name")"
		grep -E '^ *--- FAIL|^FAIL|^panic:|\.go:[0-9]+:' "$(log_of "$name")" | head -n 20
	done
	[ -z "$not_run" ] || printf '\n%s\n' "$not_run"
	printf 'stages: %d passed, %d failed' "$passed" "${#failed[@]}"
	[ "$skipped" = 0 ] || printf ', %d not run' "$skipped"
	echo
	[ "${#failed[@]}" = 0 ] && [ -z "$not_run" ]
}
