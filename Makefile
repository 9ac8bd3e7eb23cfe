# SPDX-License-Identifier: GPL-2.0
#
# Everything is built under build/, nothing in the source tree. `make help` lists the targets.
#
# Conventions, so that a new file needs no line here:
#   kmod/*.c              the module aop (Kbuild), built for each kernel in build/VERSION/; build/KERNEL/aop.ko leads there
#   lib/Makefile          libaop. Called with BUILD (absolute; it writes to $(BUILD)/lib/), DESTDIR, PREFIX, and the
#                         targets all, install, clean; makes $(BUILD)/lib/libaop.a, headers are in lib/include/
#   tools/NAME.c          a program, build/tools/NAME; or several files, tools/NAME/*.c
#   bench/NAME/*.c        a program, build/bench/NAME; `make bench` runs bench/run in a counting guest
#   bench/native/NAME.c   a program, see bench/native/Makefile; `make bench-native` runs them
#   selftests/*.c         test programs, see selftests/Makefile
#   selftests/native/*.c  test programs that need no /dev/aop, see selftests/native/Makefile
#   docs/*.[1-9]          man pages
# Programs are linked with libaop, libmnl, libpthread, liburing, libzstd, and compiled with -Wall -Wextra -Werror.

KERNEL ?= 6.1
KERNELS ?= 6.1 6.12 6.12-rt
# What shows on a kernel where locks sleep and interrupts are threads, in about two minutes.
RT_TESTS ?= state wait cancel death epoll abi_ring group status trace module uring_fd uring_cmd uring_death import import_unload driver_owner driver_gone driver_dma
PREFIX ?= /usr/local
DESTDIR ?=
SHELL := /bin/bash
override BUILD := $(CURDIR)/build
TOP := $(CURDIR)
include scripts/programs.mk

# "make check KERNEL=x" restricts what would run on every kernel.
ifneq ($(filter command% environment%,$(origin KERNEL)),)
KERNELS := $(KERNEL)
endif

export BUILD PREFIX DESTDIR CFLAGS

all: modules lib tools selftests ## the module, the library, the programs and the tests

help: ## this list
	@echo "aop: operations with one owner and any number of watchers."
	@echo
	@sed -nE 's/^([a-z_-]+):[^#]*## (.*)/  \1\t\2/p' Makefile | expand -t 20
	@echo
	@echo "  KERNEL=6.1 | 6.12 | 6.1-rt | 6.12-rt   which kernel (6.1); the newest that apt offers"
	@echo "  KERNELS=\"6.1 6.12 6.12-rt\"             which kernels 'make check' runs on"
	@echo "  RT_TESTS=\"name ...\"                    which test programs it runs on those that end in -rt (a short set)"
	@echo "  TESTS=\"name ...\"                       which test programs 'make check' and 'check-native' run (all)"
	@echo "  DESTDIR=, PREFIX=/usr/local            where 'make install' puts things"
	@echo "  V=1                                    show the commands of the module's and the library's build"

deps: ## install the Debian packages that are missing, with sudo when not root
	@scripts/deps

# A folder of links for each kernel keeps objects out of the source tree, and kernels apart. VARIANT: a second build for the
# same kernel with other KBUILD_ARGS.
modules: ## the module, for KERNEL, as build/KERNEL/aop.ko
	@headers=$$(scripts/kernel headers $(KERNEL)) && version=$${headers##*/linux-headers-} && \
	farm=build/$$version$(VARIANT) && mkdir -p $$farm && ln -sfn $$version$(VARIANT) build/$(KERNEL)$(VARIANT) && \
	cp -rsf $(TOP)/Kbuild $(TOP)/kmod $$farm/ && ln -sfn $(TOP)/include $$farm/include && \
	find $$farm -xtype l -delete && \
	$(MAKE) --no-print-directory -C $$headers M=$(TOP)/$$farm $(KBUILD_ARGS) modules 2>&1 | \
	{ grep -v '^Skipping BTF generation' || true; } && test $${PIPESTATUS[0]} = 0

lib: ## libaop, static and shared
	@$(MAKE) --no-print-directory $(if $(V),,-s) -C lib CFLAGS="$(CFLAGS) -Werror" all

# bench/plugin is no program: bench/profile builds it; bench/native has several, and a Makefile.
PROGRAMS := $(filter-out build/bench/plugin build/bench/native,$(patsubst %.c,build/%,$(wildcard tools/*.c bench/*.c)) \
	$(patsubst %/,build/%,$(sort $(dir $(wildcard tools/*/*.c bench/*/*.c)))))

tools: $(filter build/tools/%,$(PROGRAMS)) ## the programs in tools/

# What one program wants besides.
build/tools/aopstat: EXTRA_LIBS += $(AOPSTAT_LIBS)
build/bench/loop: EXTRA_LIBS += $(shell $(PKG_CONFIG) --libs libevent_pthreads libevent glib-2.0 2>/dev/null)
build/bench/loop: CPPFLAGS += $(shell $(PKG_CONFIG) --cflags glib-2.0 2>/dev/null)

.SECONDEXPANSION:
$(PROGRAMS): build/%: $$(wildcard $$*.c $$*/*.[ch]) $(USER_HEADERS) build/lib/libaop.a
	$(COMPILE_PROGRAM)
build/lib/libaop.a: lib

selftests: lib ## the test programs
	@$(MAKE) --no-print-directory -C selftests all

guest-deps:
	@scripts/deps build vm

demo: guest-deps ## two processes share operations through /dev/aop, in a guest
	@$(MAKE) --no-print-directory modules tools
	@selftests/vm/run -k $(KERNEL) -m aop -- build/tools/demo

demo-aopstat: guest-deps ## the same, and beside it how aopstat sees it
	@scripts/deps native
	@$(MAKE) --no-print-directory modules tools
	@selftests/vm/run -k $(KERNEL) -m aop -- tools/demo/beside

vm: guest-deps ## a shell in a guest with the module loaded
	@$(MAKE) --no-print-directory modules tools
	@selftests/vm/run -k $(KERNEL) -m aop -t 86400 -- bash -i

check: ## lint, check-native, every test in a guest on each of KERNELS, the demo
	@scripts/deps
	@KERNELS="$(KERNELS)" TESTS="$(TESTS)" RT_TESTS="$(RT_TESTS)" selftests/check

check-native: ## the tests of libaop on this machine itself, with sanitizers and valgrind
	@scripts/deps build native
	@selftests/native/run $(TESTS)

lint: ## static checks of everything
	@KERNELS="$(filter-out %-rt,$(KERNELS))" scripts/lint

behaviours: ## the behaviours of docs/behaviours.md, each with the tests that name it
	@scripts/behaviours

bench: guest-deps ## aop beside its peers, counted in executed instructions, into docs/benchmarks.md; ROWS="name ..." (all)
	@$(MAKE) --no-print-directory modules $(filter build/bench/%,$(PROGRAMS))
	@bench/bench run -k $(KERNEL) $(ROWS)

bench-all: guest-deps ## the same, and all that is measured on this machine itself
	@scripts/deps native bench
	@$(MAKE) --no-print-directory modules $(filter build/bench/%,$(PROGRAMS))
	@bench/bench run -k $(KERNEL) -n $(ROWS)

bench-profile: guest-deps ## where the instructions of ROW go: functions, lines, locked instructions
	@bench/profile -k $(KERNEL) $(ROW)

bench-compare: ## fails when a counted row of the JSON lines NEW is more than 2% above OLD; both default to docs/
	@bench/bench compare $(or $(OLD),docs/benchmarks.jsonl) $(or $(NEW),docs/benchmarks.jsonl)

check-debug: ## all tests on a kernel with KASAN, lockdep, kmemleak, ...; builds that first, in ten minutes or more
	@scripts/deps
	@KERNELS="$(KERNEL:%-debug=%)-debug" TESTS="$(TESTS)" GUEST=only selftests/check

check-kcsan: ## all tests on a kernel with KCSAN; builds that first
	@scripts/deps
	@KERNELS="$(KERNEL:%-kcsan=%)-kcsan" TESTS="$(TESTS)" GUEST=only selftests/check

# SEED and COUNT: what the fuzzer begins with, and how many programs it tries.
SEED ?= 1
COUNT ?= 20000
# How long that may take.
LIMIT ?= 36000

fuzz: guest-deps ## the fuzzer on the debug kernel for long: SEED=, COUNT=
	@$(MAKE) --no-print-directory modules KERNEL=$(KERNEL:%-debug=%)-debug
	@$(MAKE) --no-print-directory selftests
	@selftests/vm/run -k $(KERNEL:%-debug=%)-debug -n fuzz -d -t $(LIMIT) -m aop -- build/selftests/fuzz -s $(SEED) -n $(COUNT) -o

fuzz-coverage: guest-deps ## the same, and which lines of kmod/ it reached
	@$(MAKE) --no-print-directory selftests
	@KERNEL=$(KERNEL:%-debug=%)-debug selftests/fuzz/coverage -t $(LIMIT) build/selftests/fuzz -s $(SEED) -n $(COUNT) -o

# Steps of the stress program.
SOAK ?= 30000000
SOAK_DEBUG ?= 1000000

soak: guest-deps ## the stress program for hours: SOAK= steps, then SOAK_DEBUG= under KASAN and lockdep, owners killed throughout
	@$(MAKE) --no-print-directory modules KERNEL=$(KERNEL:%-debug=%)
	@$(MAKE) --no-print-directory modules KERNEL=$(KERNEL:%-debug=%)-debug
	@$(MAKE) --no-print-directory selftests
	@selftests/vm/run -k $(KERNEL:%-debug=%) -n soak -t $(LIMIT) -m aop -- selftests/soak $(SOAK) $(SEED)
	@selftests/vm/run -k $(KERNEL:%-debug=%)-debug -n soak -t $(LIMIT) -m aop -- selftests/soak $(SOAK_DEBUG) $(SEED)

man: ## a man page for each function of libaop, build/man/*.3, out of the comments at their definitions
	@scripts/man build/man

bench-native: lib ## the library on this machine itself, in nanoseconds
	@$(MAKE) --no-print-directory -C bench/native run

bench-loop: build/bench/loop ## the loop beside libuv, on this machine itself
	@build/bench/loop

install: lib tools ## library, headers, programs with completions, man pages (those of functions only after "make man")
	@$(MAKE) --no-print-directory $(if $(V),,-s) -C lib install
	@for t in $(filter-out build/tools/demo,$(filter build/tools/%,$(PROGRAMS))); do \
		install -D -t $(DESTDIR)$(PREFIX)/bin $$t; done
	@for m in $(wildcard docs/*.[1-9] build/man/*.3); do \
		install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${m##*.} $$m; done
	@cd tools/aopstat/completions && share=$(DESTDIR)$(PREFIX)/share && \
		install -D -m 644 aopstat.bash $$share/bash-completion/completions/aopstat && \
		install -D -m 644 _aopstat $$share/zsh/site-functions/_aopstat && \
		install -D -m 644 aopstat.fish $$share/fish/vendor_completions.d/aopstat.fish

modules_install: modules ## the module, below DESTDIR/lib/modules
	@version=$$(readlink build/$(KERNEL)) && \
	install -D -m 644 -t $(DESTDIR)/lib/modules/$$version/extra build/$(KERNEL)/aop.ko && \
	{ test -n "$(DESTDIR)" || depmod $$version; }

clean: ## remove build/ (kernels stay in the cache)
	rm -rf build

.PHONY: all help deps guest-deps modules lib tools selftests demo demo-aopstat vm check check-native check-debug check-kcsan fuzz fuzz-coverage soak \
	lint behaviours bench bench-all bench-profile bench-compare bench-native bench-loop \
	install \
	modules_install clean
