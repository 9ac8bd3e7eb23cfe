// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints of trace.h, made once.  Kbuild lets define_trace.h find that file.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"
