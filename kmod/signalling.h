/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the module itself would wait for an op, or promises not to: signalling.c.
 */
#ifndef AOP_SIGNALLING_H
#define AOP_SIGNALLING_H

#ifdef CONFIG_LOCKDEP
void aop_might_wait(void);
#else
static inline void aop_might_wait(void)
{
}
#endif

#endif /* AOP_SIGNALLING_H */
