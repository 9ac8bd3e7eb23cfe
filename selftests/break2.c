// SPDX-License-Identifier: GPL-2.0
/*
 * What a second review tried in order to break the module: ways in which it goes, and
 * memory that goes, while somebody is still at it.
 */
#include <libmnl/libmnl.h>
#include <linux/aop_netlink.h>
#include <linux/genetlink.h>
#include <sys/eventfd.h>

#include "behave.h"
#include "reload.h"

#define OPS	8192

FIXTURE(brk2) {
};

FIXTURE_SETUP(brk2)
{
}

FIXTURE_TEARDOWN(brk2)
{
}

/* ---- netlink, no more than it takes to subscribe ---------------------------------- */

static int nl_send(struct mnl_socket *sock, uint16_t type, uint8_t cmd, const char *family)
{
	char buf[256] = "";
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = 1;
	if (family)
		mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, family);
	return mnl_socket_sendto(sock, nlh, nlh->nlmsg_len) < 0 ? -errno : 0;
}

/* Returns the socket, subscribed to all there is, or NULL. */
static struct mnl_socket *subscribe(void)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	const struct nlattr *attr;
	struct nlmsghdr *nlh;
	uint16_t family = 0;
	char buf[8192];
	int len;

	if (!sock || mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    nl_send(sock, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, AOP_FAMILY_NAME))
		return NULL;
	len = mnl_socket_recvfrom(sock, buf, sizeof(buf));
	nlh = (struct nlmsghdr *)buf;
	if (len < 0 || !mnl_nlmsg_ok(nlh, len) || nlh->nlmsg_type != GENL_ID_CTRL)
		return NULL;
	mnl_attr_for_each(attr, nlh, GENL_HDRLEN)
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
			family = mnl_attr_get_u16(attr);
	if (nl_send(sock, family, AOP_CMD_SUBSCRIBE, NULL))
		return NULL;
	len = mnl_socket_recvfrom(sock, buf, sizeof(buf));
	return len > 0 && nlh->nlmsg_type == family ? sock : NULL;
}

/* ---- the module goes --------------------------------------------------------------- */

/*
 * K1: nobody is left, but ops wait for being told of, more than one work item takes at
 * a time.  They go with the module.
 */
TEST_F(brk2, K1_unloaded_with_news_that_wait)
{
	int i, n, round;

	if (!module_file())
		SKIP(return, "no AOP_KO: which file to load?");
	for (round = 0; round < 3; round++) {
		struct mnl_socket *sock;
		struct abi_ctx c;

		ASSERT_EQ(0, abi_open(&c, OPS));
		sock = subscribe();
		ASSERT_TRUE(sock);
		for (i = 0; i < OPS; i += n) {
			struct aop_create_entry e[64] = { 0 };

			for (n = 0; n < 64; n++)
				e[n].state = AOP_RUNNING;
			ASSERT_EQ(n, abi_batch(c.fd, AOP_IOC_CREATE, e, sizeof(e[0]), n));
		}
		abi_close(&c);
		mnl_socket_close(sock);
		ASSERT_EQ(0, unload());
		ASSERT_EQ(0, load());
	}
}

/*
 * K1: an import ends by a work item, which its source must be able to queue while the
 * module is already on its way out.
 */
static void *fire_on(void *data)
{
	int *fds = data;
	uint64_t one = 1;
	int i;

	for (i = 0; __atomic_load_n(&fds[64], __ATOMIC_ACQUIRE); i++)
		if (write(fds[i % 64], &one, sizeof(one)) < 0)
			break;
	return NULL;
}

TEST_F(brk2, K1_unloaded_while_imports_fire)
{
	int fds[65], i, round;
	pthread_t thread;

	if (!module_file())
		SKIP(return, "no AOP_KO: which file to load?");
	for (round = 0; round < 5; round++) {
		struct abi_ctx c;

		ASSERT_EQ(0, abi_open(&c, 64));
		for (i = 0; i < 64; i++) {
			struct aop_ioc_import im = { .size = sizeof(im) };

			fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
			im.fd = fds[i];
			ASSERT_EQ(0, ioctl(c.fd, AOP_IOC_IMPORT, &im));
		}
		fds[64] = 1;
		abi_close(&c);
		ASSERT_EQ(0, pthread_create(&thread, NULL, fire_on, fds));
		EXPECT_EQ(0, unload());
		__atomic_store_n(&fds[64], 0, __ATOMIC_RELEASE);
		pthread_join(thread, NULL);
		for (i = 0; i < 64; i++)
			close(fds[i]);
		ASSERT_EQ(0, load());
	}
}

/* ---- memory that goes --------------------------------------------------------------- */

/*
 * M6: the source has fired before it is imported: the work item may have ended the op,
 * and freed what the call still holds the lock of.  Needs KASAN to fail for sure.
 */
static void *import_fired(__attribute__((unused)) void *data)
{
	uint64_t one = 1;
	struct abi_ctx c;
	long failed = 0;
	int efd, i;

	if (abi_open(&c, 64))
		return (void *)1L;
	efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (write(efd, &one, sizeof(one)) < 0)
		failed = 1;
	for (i = 0; i < 500 && !failed; i++) {
		struct aop_ioc_import im = { .size = sizeof(im), .fd = efd };

		failed = ioctl(c.fd, AOP_IOC_IMPORT, &im) ||
			 abi_wait_one(&c, im.handle, AOP_EV_OVER, 0) != AOP_EV_OVER ||
			 abi_detach(&c, im.handle, 0);
	}
	close(efd);
	abi_close(&c);
	return (void *)failed;
}

TEST_F(brk2, M6_fired_before_it_is_imported)
{
	pthread_t thread[3];
	void *failed;
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, import_fired, NULL));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], &failed));
		EXPECT_EQ(NULL, failed);
	}
}

TEST_HARNESS_MAIN
