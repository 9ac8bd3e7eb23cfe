/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls that take many entries: one system call, an answer for each; and the same
 * calls for one entry, which is the argument itself, and whose answer is the call's.
 *
 * Entries go in chunks: a chunk is fetched, carried out in one run, and answered.
 * So a burst takes the home lock once and wakes a watcher once.  User memory is
 * touched with no home lock held.  While a chunk is fetched, what will be answered
 * is written once already: memory that cannot be written is found before anything
 * has had an effect.
 *
 * The engine is inlined into each call, so that sizes are constants there.
 */
#ifndef AOP_BATCH_H
#define AOP_BATCH_H

#include <linux/sched.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "ioctl.h"

/* On the stack; KASAN makes a frame larger, and the same limit holds for it. */
#define AOP_CHUNK_WORDS	(IS_ENABLED(CONFIG_KASAN_STACK) ? 64 : 128)
#define AOP_ONE_WORDS	10

/**
 * struct aop_batch_kind - what a batch is made of
 * @one: carries out one entry and returns what goes into its ret; or NULL
 * @chunk: or this: carries out entries and sets their rets, which are 0 before, and
 *	returns all of them ORed, unless @out; the table mutex is held, the run has begun
 * @undo: takes back an entry whose answer could not be written after all, or NULL
 * @words: of 8 bytes in the first version of an entry
 * @ret: where ret is, counted in u32
 * @out: mask of words that are always answered; else only ret, and only bad ones
 */
struct aop_batch_kind {
	int (*one)(struct aop_ctx *ctx, struct aop_run *run, const void *entry);
	u32 (*chunk)(struct aop_ctx *ctx, struct aop_run *run, void *entries, u32 nr);
	void (*undo)(struct aop_ctx *ctx, struct aop_run *run, void *entry);
	u32 words;
	u32 ret;
	u32 out;
};

#define AOP_BATCH_KIND(name)							\
	{									\
		.one = name##_one,						\
		.words = sizeof(struct aop_##name##_entry) / 8,			\
		.ret = offsetof(struct aop_##name##_entry, ret) / 4,		\
	}

/*
 * Fetches up to @nr entries of the size that is known here.  Returns how many, less
 * when user memory ends.
 */
static __always_inline u32 aop_fetch_entries(const struct aop_batch_kind *kind, u64 *buf,
					     u64 __user *user, u32 nr)
{
	u32 i = 0, w;

	if (!user_access_begin(user, (size_t)nr * kind->words * 8))
		return 0;
	for (; i < nr; i++) {
#pragma GCC unroll 16
		for (w = 0; w < kind->words; w++)
			unsafe_get_user(buf[w], &user[w], fault);
		((u32 *)buf)[kind->ret] = 0;
#pragma GCC unroll 16
		for (w = 0; w < kind->words; w++)
			if (kind->out >> w & 1)
				unsafe_put_user(buf[w], &user[w], fault);
		if (!(kind->out >> kind->ret / 2 & 1))
			unsafe_put_user(0, (u32 __user *)user + kind->ret, fault);
		buf += kind->words;
		user += kind->words;
	}
fault:
	user_access_end();
	return i;
}

/* Answers.  Returns how many entries could be answered. */
static __always_inline u32 aop_answer_entries(const struct aop_batch_kind *kind, u64 *buf,
					      u64 __user *user, u32 stride, u32 nr)
{
	u32 i = 0, w;

	if (!user_access_begin(user, (size_t)nr * stride * 8))
		return 0;
	for (; i < nr; i++) {
		u32 ret = ((u32 *)buf)[kind->ret];

#pragma GCC unroll 16
		for (w = 0; w < kind->words; w++)
			if (kind->out >> w & 1)
				unsafe_put_user(buf[w], &user[w], fault);
		if (!(kind->out >> kind->ret / 2 & 1) && ret)
			unsafe_put_user(ret, (u32 __user *)user + kind->ret, fault);
		buf += kind->words;
		user += stride;
	}
fault:
	user_access_end();
	return i;
}

/* One entry of another size. */
static __always_inline u32 aop_fetch_odd_entry(const struct aop_batch_kind *kind, u64 *buf,
					       u64 __user *user, u32 size, s32 *odd)
{
	int err = aop_copy_odd(buf, kind->words * 8, user, size, kind->words * 8);
	u32 w;

	*odd = err == -E2BIG ? err : 0;
	if (err == -EFAULT || put_user(0, (u32 __user *)user + kind->ret))
		return 0;
	((u32 *)buf)[kind->ret] = *odd;
	for (w = 0; w < kind->words && !*odd; w++)
		if (kind->out >> w & 1 && put_user(buf[w], &user[w]))
			return 0;
	if (*odd && put_user(*odd, (u32 __user *)user + kind->ret))
		return 0;
	return 1;
}

/* Returns 0 if no entry has got anything but 0. */
static __always_inline u32 aop_carry_out(struct aop_ctx *ctx, const struct aop_batch_kind *kind,
					 struct aop_run *run, u64 *buf, u32 nr)
{
	u32 ret, any = 0;

	if (kind->chunk)
		return kind->chunk(ctx, run, buf, nr);
	for (; nr--; buf += kind->words) {
		ret = kind->one(ctx, run, buf);
		((u32 *)buf)[kind->ret] = ret;
		any |= ret;
	}
	return any;
}

/**
 * aop_entries() - carry out the entries of a batch
 * @ctx: of the calling process, its table locked
 * @kind: constant
 * @entries: in user space, access_ok() throughout
 * @size: of one there
 * @nr: how many
 * @done: in: how many to skip; out: how many were handled
 *
 * Context: may sleep.
 * Return: 0, or -EFAULT when user memory ended before the entries did.
 */
static __always_inline int aop_entries(struct aop_ctx *ctx, const struct aop_batch_kind *kind,
				       void __user *entries, u32 size, u32 nr, u32 *done)
{
	u64 buf[AOP_CHUNK_WORDS] AOP_UNINIT;
	struct aop_run run AOP_UNINIT;
	bool odd_size = size != kind->words * 8;

	while (*done < nr) {
		u64 __user *user = entries + (size_t)*done * size;
		u32 want, got, told, any;
		s32 odd = 0;

		if (likely(!odd_size)) {
			want = min_t(u32, nr - *done, AOP_CHUNK_WORDS / kind->words);
			want = min_t(u32, want, AOP_RUN_LINKS);
			got = aop_fetch_entries(kind, buf, user, want);
		} else {
			want = 1;
			got = aop_fetch_odd_entry(kind, buf, user, size, &odd);
		}
		if (got && !odd) {
			aop_run_begin(&run);
			any = aop_carry_out(ctx, kind, &run, buf, got);
			aop_run_end(&run);
			/* With nothing to be told, user memory need not be opened. */
			told = got;
			if (kind->out || unlikely(any))
				told = aop_answer_entries(kind, buf, user, size / 8, got);
			if (unlikely(told < got)) {
				/* What cannot be taken back has been handled. */
				*done += kind->undo ? told : got;
				for (; kind->undo && told < got; told++) {
					aop_run_begin(&run);
					kind->undo(ctx, &run, buf + told * kind->words);
					aop_run_end(&run);
				}
				return -EFAULT;
			}
		}
		*done += got;
		if (got < want)
			return -EFAULT;
		if (*done < nr)
			cond_resched();
	}
	return 0;
}

static __always_inline int aop_check_batch(const struct aop_ioc_batch *b, u32 words)
{
	if (b->flags | b->pad || b->nr > AOP_MAX_ENTRIES || b->done > b->nr ||
	    b->entry_size < words * 8)
		return -EINVAL;
	return b->entry_size > PAGE_SIZE ? -E2BIG : 0;
}

/* The head of a batch, checked.  done is written ahead: all of them. */
static __always_inline int aop_fetch_batch(struct aop_ioc_batch *b, u32 words, void __user *arg)
{
	struct aop_ioc_batch __user *user = arg;
	int ret;

	if (!user_access_begin(user, sizeof(*user)))
		return -EFAULT;
	unsafe_get_user(b->size, &user->size, fault);
	unsafe_get_user(b->flags, &user->flags, fault);
	unsafe_get_user(b->entries, &user->entries, fault);
	unsafe_get_user(b->entry_size, &user->entry_size, fault);
	unsafe_get_user(b->nr, &user->nr, fault);
	unsafe_get_user(b->done, &user->done, fault);
	unsafe_get_user(b->pad, &user->pad, fault);
	ret = b->size == sizeof(*b) ? aop_check_batch(b, words) : 1;
	if (likely(!ret))
		unsafe_put_user(b->nr, &user->done, fault);
	user_access_end();
	if (unlikely(ret > 0)) {
		ret = aop_copy_struct(b, sizeof(*b), sizeof(*b), arg);
		if (!ret)
			ret = aop_check_batch(b, words);
		if (!ret)
			ret = put_user(b->nr, &user->done);
	}
	if (unlikely(ret))
		return ret;
	if (access_ok(u64_to_user_ptr(b->entries), (size_t)b->nr * b->entry_size))
		return 0;
	put_user(b->done, &user->done);
	return -EFAULT;
fault:
	user_access_end();
	return -EFAULT;
}

/**
 * aop_batch() - a call that is a batch
 * @ctx: of the calling process
 * @kind: constant
 * @arg: struct aop_ioc_batch
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, -E2BIG, -EFAULT; -EIO when the process has ended.
 */
static __always_inline long aop_batch(struct aop_ctx *ctx, const struct aop_batch_kind *kind,
				      void __user *arg)
{
	struct aop_ioc_batch b AOP_UNINIT;
	int ret = aop_fetch_batch(&b, kind->words, arg);

	if (ret)
		return ret;
	aop_table_lock(ctx);
	if (unlikely(ctx->dead))
		ret = -EIO;
	else
		ret = aop_entries(ctx, kind, u64_to_user_ptr(b.entries), b.entry_size, b.nr,
				  &b.done);
	aop_table_unlock(ctx);
	if (unlikely(b.done != b.nr))
		put_user(b.done, &((struct aop_ioc_batch __user *)arg)->done);
	return ret;
}

/* What a call for one entry writes: all that a batch does, but ret. */
static __always_inline bool aop_tells(const struct aop_batch_kind *kind, u32 word)
{
	return kind->out >> word & 1 && word != kind->ret / 2;
}

static __always_inline bool aop_answer_one(const struct aop_batch_kind *kind, const u64 *e,
					   u64 __user *user)
{
	u32 w;

	if (!user_access_begin(user, kind->words * 8))
		return false;
#pragma GCC unroll 16
	for (w = 0; w < kind->words; w++)
		if (aop_tells(kind, w))
			unsafe_put_user(e[w], &user[w], fault);
	user_access_end();
	return true;
fault:
	user_access_end();
	return false;
}

/**
 * aop_one() - the same call for one entry
 * @ctx: of the calling process
 * @kind: constant
 * @arg: the entry, of the size that is known here
 *
 * Its ret is not written: it is what the call returns.  What else is answered is
 * written ahead, as it is in a batch.
 *
 * Context: may sleep.
 * Return: the entry's ret; -EFAULT; -EIO when the process has ended.
 */
static __always_inline long aop_one(struct aop_ctx *ctx, const struct aop_batch_kind *kind,
				    void __user *arg)
{
	u64 e[AOP_ONE_WORDS] AOP_UNINIT;
	struct aop_run run AOP_UNINIT;
	u64 __user *user = arg;
	long ret;
	u32 w;

	BUILD_BUG_ON(kind->words > AOP_ONE_WORDS);
	if (!user_access_begin(user, kind->words * 8))
		return -EFAULT;
#pragma GCC unroll 16
	for (w = 0; w < kind->words; w++)
		unsafe_get_user(e[w], &user[w], fault);
#pragma GCC unroll 16
	for (w = 0; w < kind->words; w++)
		if (aop_tells(kind, w))
			unsafe_put_user(e[w], &user[w], fault);
	user_access_end();

	aop_table_lock(ctx);
	ret = -EIO;
	if (likely(!ctx->dead)) {
		aop_run_begin(&run);
		if (kind->one) {
			ret = kind->one(ctx, &run, e);
		} else {
			((s32 *)e)[kind->ret] = 0;
			kind->chunk(ctx, &run, e, 1);
			ret = ((s32 *)e)[kind->ret];
		}
		aop_run_end(&run);
		if (kind->out && likely(!ret) && unlikely(!aop_answer_one(kind, e, user))) {
			aop_run_begin(&run);
			kind->undo(ctx, &run, e);
			aop_run_end(&run);
			ret = -EFAULT;
		}
	}
	aop_table_unlock(ctx);
	return ret;
fault:
	user_access_end();
	return -EFAULT;
}

#endif /* AOP_BATCH_H */
