/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Of the tests of ports in every scope: a port that serves, its calls.
 */
#ifndef SELFTESTS_ANY_PORT_H
#define SELFTESTS_ANY_PORT_H

#include "any.h"

FIXTURE(port) {
	struct any any;
	struct aop_port port;
	struct aop_call c[8];
	struct aop_request r[4];
	char reply[8][16];
};

ANY_VARIANTS(port);

FIXTURE_SETUP(port)
{
	ANY_SETUP();
	ASSERT_EQ(0, aop_port_init(&self->port, self->any.where,
				   AOP_PORT_OPTS(.backlog = 6, .state = AOP_RUNNING)));
}

FIXTURE_TEARDOWN(port)
{
	any_teardown(&self->any);
}

static inline int take(struct aop_port *port, struct aop_request *r)
{
	return aop_serve(port, r, 1, AOP_NOWAIT);
}

#define CALL(i, text) \
	aop_call(&self->port, &self->c[i], text, sizeof(text), self->reply[i], 16)

#endif /* SELFTESTS_ANY_PORT_H */
