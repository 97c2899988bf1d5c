# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Ordinary work of a guest on a share. Sourced after guest.sh; each is one kind of work in guest "g" below /mnt/work,
# with the programs of /tools, where the share is at the same place.

# work_start [OPTION...]: a guest with the share at /mnt, by a daemon with these options.
work_start() {
	share_make
	run mkdir "$SHARE/work"
	share_serve a "$@"
	guest_boot g 6.12 share="${SOCKET[a]}"
	guest_mount g
	guest_do g 'mount --bind /mnt /tools/mnt'
}

work_end() {
	guest_do g 'umount /tools/mnt'
	guest_stop g
	share_end a
}

# work_do COMMAND: by bash in /tools, in /mnt/work, with all errors fatal.
work_do() { guest_do g "chroot /tools /bin/bash -euc 'cd /mnt/work; $1'" 600; }

# A program of 12 files that includes each other's headers, built by make and gcc; changed, built again: make must
# see by the times what is to be built.
work_build() {
	step "a C project is built"
	run mkdir "$SHARE/work/project"
	(
		cd "$SHARE/work/project" || exit 1
		for i in 1 2 3 4 5 6 7 8 9 10; do
			echo "int part$i(int n);" >part$i.h
			printf '#include "part%d.h"\nint part%d(int n)\n{\n\treturn n + %d;\n}\n' $i $i $i >part$i.c
		done
		{
			echo '#include <stdio.h>'
			for i in 1 2 3 4 5 6 7 8 9 10; do echo "#include \"part$i.h\""; done
			echo 'int main(void) { int n = 0;'
			for i in 1 2 3 4 5 6 7 8 9 10; do echo "n = part$i(n);"; done
			echo 'printf("%d\n", n); return 0; }'
		} >main.c
		# shellcheck disable=SC2016 # make's
		printf 'CFLAGS = -O1 -MMD\nobjects = main.o %s\nlibparts.a: $(filter-out main.o,$(objects))\n\tar rcs $@ $^\n%s' \
			"$(echo part{1,2,3,4,5,6,7,8,9,10}.o)" \
			$'program: main.o libparts.a\n\tgcc -o $@ main.o -L. -lparts\n-include *.d\n' >Makefile
	)
	work_do 'cd project; make -s CC=gcc program; ./program >out'
	expect_file "$SHARE/work/project/out" 55
	sed -i 's/n + 3/n + 1003/' "$SHARE/work/project/part3.c"
	sleep 1.2
	work_do 'cd project; touch part5.h; make CC=gcc program | grep -c "^gcc.* -c " >compiled; ./program >out; make -q CC=gcc program'
	expect_file "$SHARE/work/project/out" 1055
	# part3.c, and because of the header part5.c and main.c.
	expect_file "$SHARE/work/project/compiled" 3
}

# A repository with history, packed, cloned, and looked through by fsck, in the guest and by the host.
work_git() {
	step "git"
	work_do 'git config --global user.name g; git config --global user.email g@g; git config --global safe.directory "*"
		git init -q repository; cd repository
		for i in 1 2 3; do
			mkdir -p d$i; for f in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "$i $f $RANDOM" >d$i/f$f; done
			git add .; git commit -q -m "commit $i"
		done
		git mv d1 moved; git commit -q -m moved; git checkout -q -b side HEAD~2; echo side >side; git add .
		git commit -q -m side; git checkout -q master; git merge -q -m merge side; git gc -q; git fsck --full --strict
		[ -z "$(git status --porcelain)" ]; cd ..; git clone -q --no-local repository clone; cd clone; git fsck --full --strict
		[ "$(git rev-list --count HEAD)" = 6 ]'
	run git -c safe.directory='*' -C "$SHARE/work/clone" fsck --full --strict
	run diff -r -x .git "$SHARE/work/repository" "$SHARE/work/clone"
}

# Two processes write to one database, with a rollback journal and with a WAL, and a third reads.
work_sqlite() {
	local mode n=40
	for mode in delete wal; do
		step "SQLite, journal_mode=$mode"
		work_do "sqlite3 $mode.db \"PRAGMA journal_mode=$mode; CREATE TABLE t(who, n, UNIQUE(who, n)); CREATE TABLE sum(n); INSERT INTO sum VALUES(0);\" >/dev/null
			writer() { for i in \$(seq $n); do
				echo \".timeout 100000
					BEGIN IMMEDIATE; INSERT INTO t VALUES(\$1, \$i); UPDATE sum SET n = n + 1; COMMIT;\"; done | sqlite3 -bail $mode.db; }
			writer 1 & one=\$!
			writer 2 & two=\$!
			for i in 1 2 3 4 5; do
				sqlite3 -bail $mode.db \".timeout 100000\" \"SELECT CASE WHEN (SELECT count(*) FROM t) = (SELECT n FROM sum) THEN 1 ELSE 0 END\"
			done >read
			wait \$one; wait \$two; sqlite3 $mode.db \"PRAGMA integrity_check; SELECT n FROM sum; SELECT count(*) FROM t\" >out"
		expect_text "$mode: what the reader saw" "1 1 1 1 1" "$(xargs <"$SHARE/work/read")"
		expect_text "$mode: what is in the database" "ok $((2 * n)) $((2 * n))" "$(xargs <"$SHARE/work/out")"
		expect_text "$mode: what the host reads" "ok" "$(sqlite3 "$SHARE/work/$mode.db" 'PRAGMA integrity_check')"
	done
}

# Reads, writes, maps, truncates at random against a model in memory, by several processes at once.
work_model() {
	local seed
	step "files against a model"
	guest_do g "mkdir /mnt/work/model; cd /mnt/work/model
		for seed in 1 2 3; do filemodel f\$seed \$((seed * 7 + ${1:-0})) $((FULL ? 20000 : 1500)) >out\$seed 2>&1; echo \$? >status\$seed & done; wait; sync" 600
	for seed in 1 2 3; do
		expect_text "file $seed against its model" 0 "$(cat "$SHARE/work/model/status$seed"; cat "$SHARE/work/model/out$seed")"
	done
	expect_text "sums of the host and of the guest" "$(cd "$SHARE/work/model" && md5sum f?)" "$(guest_do g 'cd /mnt/work/model && md5sum f?')"
}

# Trees copied at the same time, by cp, by tar, with links, modes and times; compared in the guest and by the host.
work_copies() {
	step "parallel copies of a tree"
	run mkdir "$SHARE/work/tree"
	run "$TOOLS/populate" "$SHARE/work/tree" 400 50
	find "$SHARE/work/tree" -type s -delete # tar keeps none
	chmod 4711 "$SHARE/work/tree/d0001/f007"
	touch -d '2001-02-03 04:05:06.789' "$SHARE/work/tree/d0001/f008"
	head -c 3000000 /dev/urandom >"$SHARE/work/tree/large"
	work_do 'cp -a tree copy1 & mkdir copy2; tar -C tree -cf - . 2>/dev/null | tar -C copy2 -xf - & wait
		cp -a copy1 copy3 & cp -a copy2 copy4 & wait; cmp copy3/large copy4/large; rm -r copy2; mv copy4 copy2'
	for copy in copy1 copy2 copy3; do
		expect_text "$copy" "$(tree_list tree)" "$(tree_list $copy)"
	done
}
tree_list() {
	(cd "$SHARE/work/$1" && find . ! -type d -printf '%p %y %m %n %l %U %G %T+\n' | sed 's/\.[0-9]* *$//' &&
		find . -type f -exec md5sum {} +) | sort | md5sum
}
