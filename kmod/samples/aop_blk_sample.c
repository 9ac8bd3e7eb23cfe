// SPDX-License-Identifier: GPL-2.0
/*
 * A sample driver: reads a range of a block device by asynchronous bios into a buffer
 * of the open file.  Its op makes progress, and ends, in bi_end_io.
 *
 * One bio is in flight at a time; the next is sent by a work item, since that may
 * sleep.  A bio on its way cannot be stopped, so there is no cancel callback: whether
 * to go on is asked whenever one comes back.  Until the op is over the buffer belongs
 * to the request; a deadline or a cancel of the pending op may make it final before.
 *
 * reader.busy says whose the buffer is.  A request is touched by one at a time: the
 * ioctl, then the work item and the bio in turns.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include <linux/aop.h>

#include "aop_samples.h"

#define BIO_BYTES	(64 << 10)

/* An open file, with its request while there is one. */
struct reader {
	struct aop_source *source;
	atomic_t busy;
	void *buffer;			/* AOP_BLK_MAX bytes */
	u64 valid;			/* how many of them read(2) gives */

	struct aop_owner *owner;
	struct file *device;
	struct block_device *bdev;
	u64 offset;
	u64 bytes;
	u64 done;
	u32 in_flight;
	struct work_struct work;
};

static void blk_end(struct reader *r, int error)
{
	struct aop_owner *owner = r->owner;
	u64 bytes = r->bytes;

	fput(r->device);
	r->valid = error ? 0 : bytes;
	/* The request before the next one.  Pairs with blk_read() and blk_fops_read(). */
	atomic_set_release(&r->busy, 0);
	/* Only now, so that who sees the op end can use the buffer. */
	if (!error)
		aop_done(owner, bytes);
	else if (error == -ECANCELED)
		aop_cancelled(owner, 0);
	else
		aop_fail(owner, error);
}

static void blk_end_io(struct bio *bio)
{
	struct reader *r = bio->bi_private;
	bool cookie = aop_begin_signalling();
	int error = blk_status_to_errno(bio->bi_status);

	bio_put(bio);
	if (!error) {
		r->done += r->in_flight;
		if (r->done == r->bytes)
			blk_end(r, 0);
		else if (aop_progress(r->owner, r->done, r->bytes) || aop_asked(r->owner))
			/* Somebody asked, or it is final already: no reason to go on. */
			blk_end(r, -ECANCELED);
		else
			queue_work(system_unbound_wq, &r->work);
	} else {
		blk_end(r, error);
	}
	aop_end_signalling(cookie);
}

static void blk_send_work(struct work_struct *work)
{
	struct reader *r = container_of(work, struct reader, work);
	void *to = r->buffer + r->done;
	bool cookie = aop_begin_signalling();
	struct bio *bio;

	r->in_flight = min_t(u64, r->bytes - r->done, BIO_BYTES);
	bio = bio_alloc(r->bdev, 1, REQ_OP_READ, GFP_NOIO);
	bio->bi_iter.bi_sector = (r->offset + r->done) >> SECTOR_SHIFT;
	bio->bi_end_io = blk_end_io;
	bio->bi_private = r;
	__bio_add_page(bio, virt_to_page(to), r->in_flight, offset_in_page(to));
	submit_bio(bio);
	aop_end_signalling(cookie);
}

/* ---- what user space calls --------------------------------------------- */

static int check_device(const struct aop_blk_read *x, struct file *device,
			struct block_device **bdev)
{
	if (!S_ISBLK(file_inode(device)->i_mode))
		return -ENOTBLK;
	if (!(device->f_mode & FMODE_READ))
		return -EBADF;
	*bdev = I_BDEV(device->f_mapping->host);
	if (!x->bytes || x->bytes > AOP_BLK_MAX || x->offset > S64_MAX ||
	    (x->offset | x->bytes) & (bdev_logical_block_size(*bdev) - 1))
		return -EINVAL;
	return 0;
}

/* Fills in the request and sends the first bio.  Takes over @device if it returns 0. */
static int blk_begin(struct reader *r, struct aop_blk_read *x, struct file *device,
		     void __user *arg)
{
	static const struct aop_create_opts opts = { .label = "block read", .mode = 0600 };
	struct aop_owner *owner;
	struct file *file;
	int ret = check_device(x, device, &r->bdev);

	if (ret)
		return ret;
	x->fd = get_unused_fd_flags(O_CLOEXEC);
	if (x->fd < 0)
		return x->fd;
	owner = aop_create(r->source, NULL, NULL, &opts);
	if (IS_ERR(owner)) {
		ret = PTR_ERR(owner);
		goto put_fd;
	}
	file = aop_file_create(aop_owner_op(owner), AOP_MAY_LOOK | AOP_MAY_CANCEL);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto end;
	}
	if (copy_to_user(arg, x, sizeof(*x))) {
		ret = -EFAULT;
		fput(file);
		goto end;
	}
	r->owner = owner;
	r->device = device;
	r->offset = x->offset;
	r->bytes = x->bytes;
	r->done = 0;
	/* Nobody can have cancelled what has no descriptor and no deadline yet. */
	aop_start(owner);
	queue_work(system_unbound_wq, &r->work);
	fd_install(x->fd, file);
	return 0;
end:
	aop_fail(owner, ret);
put_fd:
	put_unused_fd(x->fd);
	return ret;
}

static long blk_read(struct reader *r, void __user *arg)
{
	struct aop_blk_read x;
	struct file *device;
	int ret;

	if (copy_from_user(&x, arg, sizeof(x)))
		return -EFAULT;
	device = fget(x.device);
	if (!device)
		return -EBADF;
	/* Pairs with blk_end(). */
	if (atomic_cmpxchg_acquire(&r->busy, 0, 1)) {
		fput(device);
		return -EBUSY;
	}
	ret = blk_begin(r, &x, device, arg);
	if (ret) {
		fput(device);
		atomic_set_release(&r->busy, 0);
	}
	return ret;
}

static long blk_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (cmd != AOP_BLK_IOC_READ)
		return -ENOTTY;
	return blk_read(file->private_data, (void __user *)arg);
}

static ssize_t blk_fops_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	struct reader *r = file->private_data;
	ssize_t ret;

	if (atomic_cmpxchg_acquire(&r->busy, 0, 1))
		return -EBUSY;
	ret = simple_read_from_buffer(to, count, pos, r->buffer, r->valid);
	atomic_set_release(&r->busy, 0);
	return ret;
}

static int blk_open(struct inode *inode, struct file *file)
{
	struct reader *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	int ret = -ENOMEM;

	if (!r)
		return -ENOMEM;
	INIT_WORK(&r->work, blk_send_work);
	r->buffer = alloc_pages_exact(AOP_BLK_MAX, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!r->buffer)
		goto free;
	r->source = aop_source_create(file->f_cred);
	if (IS_ERR(r->source)) {
		ret = PTR_ERR(r->source);
		goto free_buffer;
	}
	file->private_data = r;
	return 0;
free_buffer:
	free_pages_exact(r->buffer, AOP_BLK_MAX);
free:
	kfree(r);
	return ret;
}

/* What is in flight comes back, sooner or later, and ends its op. */
static int blk_close(struct inode *inode, struct file *file)
{
	struct reader *r = file->private_data;

	aop_source_drain(r->source);
	aop_source_destroy(r->source);
	/* The work item may still be on its way back from the bio that came back first. */
	flush_work(&r->work);
	free_pages_exact(r->buffer, AOP_BLK_MAX);
	kfree(r);
	return 0;
}

static const struct file_operations blk_fops = {
	.owner = THIS_MODULE,
	.open = blk_open,
	.release = blk_close,
	.read = blk_fops_read,
	.llseek = default_llseek,
	.unlocked_ioctl = blk_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice blk_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "aop_blk_sample",
	.fops = &blk_fops,
	.mode = 0666,
};
module_misc_device(blk_device);

MODULE_DESCRIPTION("Sample of a driver that owns aop operations: a block reader");
MODULE_LICENSE("GPL");
