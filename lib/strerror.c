// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * strerror.c - answers in words
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "aop.h"

/**
 * aop_strerror() - what a negative answer of this library means, for a human
 * @error: what a function returned, or aop_result(); 0 and above are answered, too
 *
 * As strerror(), but that it says what that cannot: of -ENODEV how to load the module, and
 * what -EPROTONOSUPPORT means of it.  Does not block.  Any thread, signal handlers too.
 *
 * Return: a sentence without a full stop, in English; it is never freed.
 */
const char *aop_strerror(int64_t error)
{
	const char *s;

	switch (error) {
	case -ENODEV:
		return "No /dev/aop: the module is not loaded (modprobe aop)";
	case -EPROTONOSUPPORT:
		return "The module that is loaded speaks another version of the interface";
	}
	if (error >= 0)
		return "No error";
	s = error < -4095 ? NULL : strerrordesc_np(-error);
	return s ? s : "An unknown error";
}
