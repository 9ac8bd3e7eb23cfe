# SPDX-License-Identifier: GPL-2.0
# How user space is compiled, for Makefile and selftests/Makefile. Set TOP and BUILD (absolute) before including this.

PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
USER_CFLAGS := -std=gnu11 -D_GNU_SOURCE= -Wall -Wextra -Werror -pthread -I$(TOP)/include/uapi -I$(TOP)/lib/include
USER_HEADERS := $(wildcard $(TOP)/include/uapi/linux/*.h $(TOP)/lib/include/*.h $(TOP)/lib/include/aop/*.h)
USER_LIBS := $(BUILD)/lib/libaop.a
EXTRA_LIBS := -Wl,--as-needed $(shell $(PKG_CONFIG) --libs libmnl liburing libzstd 2>/dev/null) \
	$(shell $(PKG_CONFIG) --libs libuv 2>/dev/null) -lm
# What one program wants besides.
AOPSTAT_LIBS := $(shell $(PKG_CONFIG) --libs ncursesw json-c 2>/dev/null)

# A program out of all .c files among its prerequisites.
COMPILE_PROGRAM = @mkdir -p $(@D); echo "  CC      $(patsubst $(BUILD)/%,%,$(abspath $@))"; \
	$(CC) $(CFLAGS) $(USER_CFLAGS) $(CPPFLAGS) -o $@ $(filter %.c,$^) $(USER_LIBS) $(LDFLAGS) $(EXTRA_LIBS)
