// SPDX-License-Identifier: GPL-2.0
/*
 * What aop_stream_accept() is offered by somebody who means no good: memory that could still
 * be changed, is too small, or is no stream's; other files, too few of them, none.  Each is
 * refused before the context is looked at, so there is none here, and no descriptor is left
 * behind.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "any.h"

#define MAGIC	0x53504f41u
#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define HEAD	256
#define PLACES	16
#define BYTES	(HEAD + AOP_STREAM_MEM(64, PLACES))

/* As the library has it: the beginning of the memory, and what comes over the socket. */
struct head {
	uint32_t magic, version, place, places;
};

struct offer {
	uint32_t magic, side;
};

static const struct head good_head = { MAGIC, 1, 64, PLACES };
static const struct offer good_offer = { MAGIC, 0 };

FIXTURE(offer) {
	int sock[2], open;
};

/* How many are open. */
static int count_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

FIXTURE_SETUP(offer)
{
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, self->sock));
	self->open = count_fds();
}

FIXTURE_TEARDOWN(offer)
{
	/* What was passed and refused has been closed. */
	EXPECT_EQ(self->open, count_fds());
	close(self->sock[0]);
	close(self->sock[1]);
}

static int memory(const struct head *head, size_t bytes, int seals)
{
	int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, bytes) || pwrite(fd, head, sizeof(*head), 0) < 0 ||
	    (seals && fcntl(fd, F_ADD_SEALS, seals)))
		abort();
	return fd;
}

static void post(int sock, const void *data, size_t len, const int *fds, size_t nr)
{
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = nr ? control.buf : NULL,
		.msg_controllen = nr ? CMSG_SPACE(nr * sizeof(int)) : 0,
	};

	if (nr) {
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nr * sizeof(int));
	}
	if (sendmsg(sock, &msg, MSG_NOSIGNAL) != (ssize_t)len)
		abort();
}

/* Nobody is to look at it. */
static int accept_it(int sock)
{
	static uint64_t no_ctx[8];
	struct aop_shared_stream side;

	return aop_stream_accept(&side, (struct aop_ctx *)no_ctx, sock, NULL);
}

static int offer_fd(int *sock, int fd)
{
	const int fds[] = { fd, fd, fd };

	post(sock[0], &good_offer, sizeof(good_offer), fds, 3);
	close(fd);
	return accept_it(sock[1]);
}

TEST_F(offer, memory_that_can_change)
{
	static const int seals[] = {
		0, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SHRINK | F_SEAL_GROW,
		F_SEAL_GROW | F_SEAL_SEAL, F_SEAL_SHRINK | F_SEAL_SEAL,
	};
	size_t i;

	for (i = 0; i < sizeof(seals) / sizeof(seals[0]); i++)
		EXPECT_EQ(-EBADMSG, offer_fd(self->sock, memory(&good_head, BYTES, seals[i])));
}

TEST_F(offer, memory_that_is_too_small)
{
	EXPECT_EQ(-EBADMSG, offer_fd(self->sock, memory(&good_head, BYTES - 1, SEALS)));
	EXPECT_EQ(-EBADMSG, offer_fd(self->sock, memory(&good_head, HEAD, SEALS)));
	/* Nor the head is there. */
	EXPECT_EQ(-EBADMSG, offer_fd(self->sock, memory(&good_head, HEAD - 1, SEALS)));
	EXPECT_EQ(-EBADMSG, offer_fd(self->sock, memory(&good_head, sizeof(good_head), SEALS)));
}

TEST_F(offer, a_head_that_lies)
{
	static const struct head heads[] = {
		{ MAGIC + 1, 1, 64, PLACES },
		{ 0, 1, 64, PLACES },
		{ MAGIC, 0, 64, PLACES },
		{ MAGIC, 2, 64, PLACES },
		{ MAGIC, 1, 0, PLACES },
		{ MAGIC, 1, 64, 0 },
		{ MAGIC, 1, 65, PLACES },
		{ MAGIC, 1, 64, 2 * PLACES },
		/* Sizes of which a product overflows 32 bits, or rounding up does. */
		{ MAGIC, 1, 64, 1u << 31 },
		{ MAGIC, 1, 0x40000000, 4 },
		{ MAGIC, 1, 0xffffffff, 1 },
		{ MAGIC, 1, 0xfffffff9, 1 },
		{ MAGIC, 1, 0x1ffffff8, 1u << 24 },
		{ MAGIC, 1, 0x10000000, 16 },
		{ MAGIC, 1, 0xffffffff, 0xffffffff },
	};
	size_t i;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		EXPECT_EQ(-EBADMSG, offer_fd(self->sock, memory(&heads[i], BYTES, SEALS))) {
			TH_LOG("head %zu", i);
		}
}

/* Not a power of two: what is left of the checks is aop_stream_init()'s. */
TEST_F(offer, a_number_of_places_that_is_none)
{
	const struct head head = { MAGIC, 1, 64, PLACES - 1 };

	EXPECT_EQ(-EINVAL, offer_fd(self->sock, memory(&head, BYTES, SEALS)));
}

TEST_F(offer, no_memory_at_all)
{
	int p[2];

	EXPECT_EQ(-EBADMSG, offer_fd(self->sock, open("/dev/null", O_RDWR | O_CLOEXEC)));
	EXPECT_EQ(-EBADMSG, offer_fd(self->sock, open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	close(p[1]);
	EXPECT_EQ(-EBADMSG, offer_fd(self->sock, p[0]));
}

/* It is good, but for reading only: the mapping fails. */
TEST_F(offer, memory_for_reading_only)
{
	int fd = memory(&good_head, BYTES, SEALS), ro;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, ro);
	close(fd);
	EXPECT_EQ(-EACCES, offer_fd(self->sock, ro));
	EXPECT_EQ(-EPERM, offer_fd(self->sock, memory(&good_head, BYTES, SEALS | F_SEAL_WRITE)));
}

/* Credentials come first, and then what was sent. */
TEST_F(offer, to_a_socket_that_is_passed_credentials)
{
	int on = 1;

	ASSERT_EQ(0, setsockopt(self->sock[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	EXPECT_EQ(-EPERM, offer_fd(self->sock, memory(&good_head, BYTES, SEALS | F_SEAL_WRITE)));
}

TEST_F(offer, a_message_that_is_none)
{
	int fd = memory(&good_head, BYTES, SEALS);
	const int fds[] = { fd, fd, fd, fd, fd, fd, fd, fd };
	struct {
		struct offer o;
		uint32_t more;
	} longer = { good_offer, 0 };
	struct offer bad;
	size_t nr;

	for (nr = 0; nr <= 8; nr++) {
		if (nr == 3)
			continue;
		post(self->sock[0], &good_offer, sizeof(good_offer), fds, nr);
		EXPECT_EQ(-EBADMSG, accept_it(self->sock[1])) {
			TH_LOG("%zu descriptors", nr);
		}
	}
	bad = (struct offer){ MAGIC + 1, 0 };
	post(self->sock[0], &bad, sizeof(bad), fds, 3);
	EXPECT_EQ(-EBADMSG, accept_it(self->sock[1]));
	bad = (struct offer){ MAGIC, 2 };
	post(self->sock[0], &bad, sizeof(bad), fds, 3);
	EXPECT_EQ(-EBADMSG, accept_it(self->sock[1]));
	post(self->sock[0], &good_offer, sizeof(good_offer) - 1, fds, 3);
	EXPECT_EQ(-EBADMSG, accept_it(self->sock[1]));
	post(self->sock[0], &longer, sizeof(longer), fds, 3);
	EXPECT_EQ(-EBADMSG, accept_it(self->sock[1]));
	close(fd);
}

/* K8: no descriptor is free for one of the three: nothing is lost, and it is tried again. */
TEST_F(offer, K8_descriptors_exhausted)
{
	int fd = memory(&good_head, BYTES, 0), nr, free;
	const int fds[] = { fd, fd, fd };
	struct rlimit old, few;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	few = old;
	post(self->sock[0], &good_offer, sizeof(good_offer), fds, 3);
	close(fd);
	/* The lowest that are free are those above. */
	free = dup(self->sock[0]);
	close(free);
	for (nr = 0; nr < 3; nr++) {
		few.rlim_cur = free + nr;
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
		EXPECT_EQ(-EMFILE, accept_it(self->sock[1])) TH_LOG("%d are free", nr);
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
		EXPECT_EQ(self->open, count_fds());
	}
	/* It is looked at only now. */
	few.rlim_cur = free + 3;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	EXPECT_EQ(-EBADMSG, accept_it(self->sock[1]));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
}

TEST_F(offer, nobody_offers)
{
	shutdown(self->sock[0], SHUT_WR);
	EXPECT_EQ(-EPIPE, accept_it(self->sock[1]));
}

TEST_HARNESS_MAIN
