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
 * Where this library means something more particular by an errno than the system does, it
 * says that: of -ENODEV, which asking for shared scope is answered where the module is not
 * loaded, how to load it.  Does not block.  Any thread, signal handlers too.
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
	case -EOWNERDEAD:
		return "Its owner has died, or let go of it";
	case -ETIME:
		return "It was not waited for any longer";
	case -ETIMEDOUT:
		return "Its deadline has passed";
	case -ECANCELED:
		return "It was cancelled";
	case -EINPROGRESS:
		return "It is not final";
	}
	if (error >= 0)
		return "No error";
	s = error < -4095 ? NULL : strerrordesc_np(-error);
	return s ? s : "An unknown error";
}
