# SPDX-License-Identifier: BSD-3-Clause
# Holdfast. One file, not recursive but for `run` and `test`, which first install what is missing.
# Everything that is made goes below build/. `make help` lists the targets.

ifeq ($(origin CC),default)
CC = gcc
endif
PREFIX ?= /usr/local
VERSION = 0.1.0
JOBS ?= $(shell nproc)

# ---- what Debian 12 has to have (make deps, make deps-test) ------------------------------------------

PACKAGES = gcc libc6-dev pkg-config libfuse3-dev libssl-dev libsqlite3-dev libseccomp-dev libcap-ng-dev libkeyutils-dev fuse3
PACKAGES_FUZZ = $(PACKAGES) clang libclang-rt-14-dev
PACKAGES_TEST = $(PACKAGES) libcmocka-dev uidmap keyutils e2fsprogs xfsprogs btrfs-progs sqlite3 util-linux mount acl attr \
	strace clang-format clang-tidy cppcheck shellcheck qemu-system-x86 busybox-static kmod git make xz-utils
# C virtiofsd, to be compared with.
PACKAGES_BENCH = $(PACKAGES) util-linux mount qemu-system-common

# ---- flags -------------------------------------------------------------------------------------------

LIBS = fuse3 libcrypto sqlite3 libseccomp libcap-ng libkeyutils
# Asked once, and only when something is compiled: `make deps` must work before pkg-config is there.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(LIBS)))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $$(shell pkg-config --libs $(LIBS)))$(PKG_LIBS)

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Werror
# In what order the linker meets the flags of a person who builds a package: theirs last.
CPPFLAGS_ALL = -D_GNU_SOURCE -DHOLDFAST_VERSION='"$(VERSION)"' -Iserver -Iinclude -Iguest-tests/native $(PKG_CFLAGS) $(CPPFLAGS)
CFLAGS_ALL = -std=c11 -O2 -g $(WARNINGS) -fPIE $(CFLAGS)
HARDEN = -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection
HARDEN_LINK = -pie -Wl,-z,relro,-z,now
ASAN = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# gcc's libtsan knows no fences, and says so at each.
TSAN = -fsanitize=thread -Wno-tsan
LIBS_ALL = $(PKG_LIBS) -lpthread

# One short line for each step; V=1 shows the commands.
ifeq ($(V),)
cc = @printf '  %-5s %s\n' $(1) $@ && $(CC)
else
cc = $(CC)
endif

# ---- files -------------------------------------------------------------------------------------------

SERVER_SRC := $(sort $(shell find server -name '*.c' -not -path '*/tests/*'))
UNIT_SRC := $(sort $(wildcard server/*/tests/test_*.c))
HELPER_SRC := $(sort $(filter-out $(UNIT_SRC),$(wildcard server/*/tests/*.c)))
TOOL_SRC := $(sort $(wildcard tests/tools/*.c))
BENCH_SRC := $(sort $(wildcard bench/*.c))
FUZZ_SRC := $(sort $(wildcard fuzz/*.c))
BENCH_DEVICE_SRC := $(sort $(wildcard bench/device/*.c))
ALL_C := $(SERVER_SRC) $(UNIT_SRC) $(HELPER_SRC) $(TOOL_SRC) $(BENCH_SRC) $(BENCH_DEVICE_SRC) $(FUZZ_SRC)
ALL_H := $(sort $(shell find server include tests fuzz bench -name '*.h'))
SCRIPTS := fuzz/run bench/run bench/nfs tests/run tests/demo.sh .ci/run $(sort $(wildcard tests/lib/* tests/cases/*.sh))

# The native front-end: a library for the tests of the whole back-end, bench and hostile cases.
NATIVE_SRC := $(sort $(wildcard guest-tests/native/*.c))
NATIVE_TEST_SRC := $(sort $(wildcard guest-tests/native/tests/*.c))
ALL_C += $(NATIVE_SRC) $(NATIVE_TEST_SRC)
ALL_H += $(sort $(wildcard guest-tests/native/*.h guest-tests/native/tests/*.h))
SCRIPTS += $(sort $(wildcard guest-tests/native/cases/*.sh guest-tests/native/lib/*.sh))

# Random sequences against a model.
MODEL_SRC := $(sort $(wildcard guest-tests/model/*.c))
ALL_C += $(MODEL_SRC)
ALL_H += $(sort $(wildcard guest-tests/model/*.h))
SCRIPTS += $(sort $(wildcard guest-tests/model/cases/*.sh))

# Real guests.
GUEST_SRC := $(sort $(wildcard guest-tests/lib/*.c guest-tests/guest/*.c guest-tests/tools/*.c guest-tests/host/*.c))
ALL_C += $(GUEST_SRC)
SCRIPTS += guest-tests/lib/prepare guest-tests/guest/init $(sort $(wildcard guest-tests/lib/*.sh guest-tests/host/*.sh guest-tests/cases/*.sh))

# Cases of a hostile guest, over that library.
HOSTILE_SRC := $(sort $(wildcard guest-tests/hostile/*.c))
ALL_C += $(HOSTILE_SRC)
ALL_H += $(sort $(wildcard guest-tests/hostile/*.h))
SCRIPTS += $(sort $(wildcard guest-tests/hostile/cases/*.sh guest-tests/hostile/lib/*.sh) guest-tests/hostile/compare)

OBJ = $(SERVER_SRC:%.c=build/obj/%.o)
ASAN_OBJ = $(SERVER_SRC:%.c=build/asan/obj/%.o)
TSAN_OBJ = $(SERVER_SRC:%.c=build/tsan/obj/%.o)
UNIT = $(foreach t,$(UNIT_SRC),build/unit/$(word 2,$(subst /, ,$(t)))/$(basename $(notdir $(t))))
ASAN_UNIT = $(UNIT:build/%=build/asan/%)
TOOLS = $(TOOL_SRC:tests/tools/%.c=build/tests/%)
FUZZERS = $(filter fuzz_%,$(FUZZ_SRC:fuzz/%.c=%))
REPLAYS = $(FUZZERS:%=build/asan/fuzz/%)
NATIVE = build/native/libfrontend.a
HOSTILE = build/native/hostile
NATIVE_TESTS = $(patsubst %.c,build/native/%,$(notdir $(filter guest-tests/native/tests/test_%,$(NATIVE_TEST_SRC))))

# The NFS tests; what runs in the guests comes from packages that are unpacked only, with these libraries.
ALL_C += $(sort $(wildcard nfs-export-tests/*/*.c))
SCRIPTS += nfs-export-tests/lib/prepare nfs-export-tests/guest/nfsserver \
	$(sort $(wildcard nfs-export-tests/lib/*.sh nfs-export-tests/cases/*.sh))
PACKAGES_TEST += iproute2 cpio libnfs-dev libnfs-utils libtirpc3 libwrap0 libevent-core-2.1-7 libnfsidmap1 \
	libdevmapper1.02.1 libgssapi-krb5-2 libkeyutils1 netbase libntirpc4.3 liburcu8 libwbclient0 libdbus-1-3

# ---- what a person types -----------------------------------------------------------------------------

.DEFAULT_GOAL := all
.PHONY: all help asan run test test-full test-built unit unit-asan bench fuzz fuzz-built lint format install deps deps-test deps-bench clean

all: build/holdfast ## build build/holdfast (the default)

help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
	@echo '  Variables: SHARE, MOUNT (run), PREFIX, DESTDIR (install), CC, CFLAGS, JOBS, V=1'

run: deps ## serve SHARE at MOUNT in the foreground, or a sample share; Ctrl-C ends it
	@$(MAKE) $(if $(V),,-s) --no-print-directory -j$(JOBS) all
	@tests/lib/serve "$(SHARE)" "$(MOUNT)"

test: deps-test ## all tests, as root: unit tests (plain and with ASan), lint, system tests
	@$(MAKE) $(if $(V),,-s) --no-print-directory -j$(JOBS) test-built
	@guest-tests/lib/prepare
	@nfs-export-tests/lib/prepare
	@tests/run

test-full: deps-test ## the same with more repetitions and larger trees
	@$(MAKE) $(if $(V),,-s) --no-print-directory -j$(JOBS) test-built
	@guest-tests/lib/prepare
	@nfs-export-tests/lib/prepare
	@FULL=1 tests/run

test-built: build/holdfast build/asan/holdfast build/tsan/holdfast $(UNIT) $(ASAN_UNIT) $(TOOLS) build/tests/dumpable.so $(REPLAYS) $(NATIVE) $(NATIVE_TESTS) $(HOSTILE) build/native/model

unit: $(UNIT) ## the unit tests alone (no root needed)
	@set -e; for t in $(UNIT); do echo "$$t"; $$t; done

unit-asan: $(ASAN_UNIT) ## the unit tests with AddressSanitizer and UBSan
	@set -e; export ASAN_OPTIONS=detect_stack_use_after_return=1; for t in $(ASAN_UNIT); do echo "$$t"; $$t; done

asan: build/asan/holdfast ## build build/asan/holdfast with ASan and UBSan

bench: deps-bench ## the figures, as root: the core, the device beside C virtiofsd, NFS (BENCH="core device memory decode nfs keys")
	@$(MAKE) $(if $(V),,-s) --no-print-directory -j$(JOBS) build/holdfast build/bench/device $(BENCH_SRC:%.c=build/%)
	@bench/run

TIME ?= 60
fuzz: ## fuzz with clang's libFuzzer, each of FUZZERS for TIME seconds (as root)
	@tests/lib/deps $(PACKAGES_FUZZ)
	@$(MAKE) $(if $(V),,-s) --no-print-directory -j$(JOBS) fuzz-built
	@fuzz/run $(TIME) $(FUZZERS)

fuzz-built: $(FUZZERS:%=build/fuzz/%)

lint: ## clang-format, clang-tidy, cppcheck, shellcheck
	@clang-format --dry-run -Werror $(ALL_C) $(ALL_H)
	@shellcheck -x -S warning $(SCRIPTS)
	@mkdir -p build/lint
	@cppcheck -q -j $(JOBS) --std=c11 --language=c --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=.cppcheck --error-exitcode=1 --cppcheck-build-dir=build/lint \
		-D_GNU_SOURCE -Iserver -Iinclude -Iguest-tests/native -Itests/tools $(ALL_C)
	@# The analyzer's budget for a function is a fifth of the default: four times as fast, and it finds what it found.
	@printf '%s\n' $(filter-out bench/%,$(ALL_C)) | xargs -P $(JOBS) -n 1 sh -c 'clang-tidy --quiet --warnings-as-errors="*" "$$@" -- \
		-std=c11 -D_GNU_SOURCE -Iserver -Iinclude -Iguest-tests/native -Itests/tools $(PKG_CFLAGS) -Xclang -analyzer-config -Xclang max-nodes=40000 \
		2>build/lint/noise.$$$$ || { cat build/lint/noise.$$$$; exit 1; }' tidy

format: ## lay the C files out with clang-format
	@clang-format -i $(ALL_C) $(ALL_H)

install: build/holdfast ## install to $(DESTDIR)$(PREFIX)
	install -D -m 0755 build/holdfast $(DESTDIR)$(PREFIX)/bin/holdfast
	install -D -m 0644 doc/holdfast.8 $(DESTDIR)$(PREFIX)/share/man/man8/holdfast.8
	install -D -m 0644 include/holdfast/handle.h $(DESTDIR)$(PREFIX)/include/holdfast/handle.h
	install -D -m 0644 include/holdfast/exit.h $(DESTDIR)$(PREFIX)/include/holdfast/exit.h
	install -D -m 0644 include/holdfast/status.h $(DESTDIR)$(PREFIX)/include/holdfast/status.h
	install -d $(DESTDIR)$(PREFIX)/share/qemu/vhost-user
	sed 's|@PREFIX@|$(PREFIX)|' doc/50-holdfast.json >$(DESTDIR)$(PREFIX)/share/qemu/vhost-user/50-holdfast.json

deps: ## install the packages that a build needs (Debian, root); nothing when they are there
	@tests/lib/deps $(PACKAGES)

deps-test: ## the same for the tests
	@tests/lib/deps $(PACKAGES_TEST)

deps-bench:
	@tests/lib/deps $(PACKAGES_TEST) $(PACKAGES_BENCH)

clean: ## remove build/
	@! grep -qs " $(CURDIR)/build/" /proc/mounts || { echo 'make clean: something is mounted below build/' >&2; exit 1; }
	rm -rf --one-file-system build

# ---- how it is made ----------------------------------------------------------------------------------

build/holdfast: $(OBJ)
	@mkdir -p $(@D)
	$(call cc,LINK) $(CFLAGS_ALL) $(HARDEN_LINK) -o $@ $(OBJ) $(LDFLAGS) $(LIBS_ALL)

build/asan/holdfast: $(ASAN_OBJ)
	@mkdir -p $(@D)
	$(call cc,LINK) $(CFLAGS_ALL) $(ASAN) -pie -o $@ $(ASAN_OBJ) $(LDFLAGS) $(LIBS_ALL)

build/tsan/holdfast: $(TSAN_OBJ)
	@mkdir -p $(@D)
	$(call cc,LINK) $(CFLAGS_ALL) $(TSAN) -pie -o $@ $(TSAN_OBJ) $(LDFLAGS) $(LIBS_ALL)

build/tsan/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call cc,CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(TSAN) -MMD -MP -c -o $@ $<

build/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call cc,CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(HARDEN) -MMD -MP -c -o $@ $<

build/asan/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call cc,CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(ASAN) -MMD -MP -c -o $@ $<

# A unit test: its own file, the helpers of its directory, and all of the server but main().
define unit_rule
build/unit/$(1)/$(2): build/obj/server/$(1)/tests/$(2).o $(patsubst %.c,build/obj/%.o,$(filter server/$(1)/tests/%,$(HELPER_SRC))) \
		$(filter-out build/obj/server/admin/main.o,$(OBJ))
	@mkdir -p $$(@D)
	$$(call cc,LINK) $$(CFLAGS_ALL) $$(HARDEN_LINK) -o $$@ $$^ $$(LDFLAGS) $$(LIBS_ALL) -lcmocka
build/asan/unit/$(1)/$(2): build/asan/obj/server/$(1)/tests/$(2).o $(patsubst %.c,build/asan/obj/%.o,$(filter server/$(1)/tests/%,$(HELPER_SRC))) \
		$(filter-out build/asan/obj/server/admin/main.o,$(ASAN_OBJ))
	@mkdir -p $$(@D)
	$$(call cc,LINK) $$(CFLAGS_ALL) $$(ASAN) -pie -o $$@ $$^ $$(LDFLAGS) $$(LIBS_ALL) -lcmocka
endef
$(foreach t,$(UNIT_SRC),$(eval $(call unit_rule,$(word 2,$(subst /, ,$(t))),$(basename $(notdir $(t))))))

build/tests/%: tests/tools/%.c Makefile
	@mkdir -p $(@D)
	$(call cc,CC) $(CPPFLAGS_ALL) -Itests/tools $(CFLAGS_ALL) $(HARDEN) $(HARDEN_LINK) -MMD -MP -o $@ $<

build/tests/dumpable.so: guest-tests/host/dumpable.c Makefile
	@mkdir -p $(@D)
	$(call cc,CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fPIC -shared -MMD -MP -o $@ $<

# For whoever drives a device: -Iguest-tests/native, and this.
$(NATIVE): $(NATIVE_SRC:%.c=build/obj/%.o) build/obj/server/base/util.o
	@mkdir -p $(@D)
	@rm -f $@
	@printf '  %-5s %s\n' AR $@ && ar rcs $@ $^

build/native/model: $(MODEL_SRC:%.c=build/obj/%.o) $(NATIVE)
	@mkdir -p $(@D)
	$(call cc,LINK) $(CFLAGS_ALL) $(HARDEN_LINK) -o $@ $^ $(LDFLAGS) -lpthread

build/native/test_%: build/obj/guest-tests/native/tests/test_%.o build/obj/guest-tests/native/tests/rig.o $(NATIVE)
	@mkdir -p $(@D)
	$(call cc,LINK) $(CFLAGS_ALL) $(HARDEN_LINK) -o $@ $^ $(LDFLAGS) -lpthread

build/bench/device: $(BENCH_DEVICE_SRC:%.c=build/obj/%.o) $(NATIVE)
	@mkdir -p $(@D)
	$(call cc,LINK) $(CFLAGS_ALL) $(HARDEN_LINK) -o $@ $^ $(LDFLAGS) -lpthread

$(HOSTILE): $(HOSTILE_SRC:%.c=build/obj/%.o) $(NATIVE)
	@mkdir -p $(@D)
	$(call cc,LINK) $(CFLAGS_ALL) $(HARDEN_LINK) -o $@ $^ $(LDFLAGS) -lpthread

build/bench/%: build/obj/bench/%.o $(filter-out build/obj/server/admin/main.o,$(OBJ))
	@mkdir -p $(@D)
	$(call cc,LINK) $(CFLAGS_ALL) $(HARDEN_LINK) -o $@ $^ $(LDFLAGS) $(LIBS_ALL)

# Fuzz targets: with libFuzzer, and with a main() that replays the corpus under the ASan of the tests.
FUZZ_CLANG = clang -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_OBJ = $(SERVER_SRC:%.c=build/fuzz/obj/%.o)

build/fuzz/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@printf '  %-5s %s\n' CLANG $@
	@clang -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all $(CPPFLAGS_ALL) -std=c11 -O1 -g \
		-fno-omit-frame-pointer -MMD -MP -c -o $@ $<

build/fuzz/%: build/fuzz/obj/fuzz/%.o build/fuzz/obj/fuzz/fuzz.o $(filter-out build/fuzz/obj/server/admin/main.o,$(FUZZ_OBJ))
	@printf '  %-5s %s\n' LINK $@
	@$(FUZZ_CLANG) -o $@ $^ $(LIBS_ALL)

build/asan/fuzz/%: build/asan/obj/fuzz/%.o build/asan/obj/fuzz/fuzz.o build/asan/obj/fuzz/replay.o \
		$(filter-out build/asan/obj/server/admin/main.o,$(ASAN_OBJ))
	@mkdir -p $(@D)
	$(call cc,LINK) $(CFLAGS_ALL) $(ASAN) -pie -o $@ $^ $(LDFLAGS) $(LIBS_ALL)

.SECONDARY:
-include $(shell find build -name '*.d' -type f 2>/dev/null)
