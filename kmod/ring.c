// SPDX-License-Identifier: GPL-2.0
/*
 * What a context shares with its process: the slots, the ready ring, and the page
 * on which the consumer says how far it is.
 *
 * Why no event is lost.  Kernel (slot.h, then aop_ring_push()):
 *
 *	K1  write the slot
 *	K2  full barrier
 *	K3  read the consumer's head: is the slot still queued?  If so, done
 *	K4  put the index into the ring, store the tail (release)
 *	K5  if the ring was not empty at K3: full barrier, read head again
 *	K6  if the ring was empty before this push, by K3 or by K5: wake
 *
 * Consumer:
 *
 *	C1  load the tail (acquire), copy the indexes between head and tail
 *	C2  store the head (release)
 *	C3  full barrier
 *	C4  read those slots
 *	C5  load the tail again; if it moved, go to C1, else sleep in poll
 *
 * The slot.  If K3 sees that the consumer has not passed the slot's place, then by
 * the barriers K2 and C3 the consumer's C4 is after K1 and reads what was written:
 * the event is seen though nothing was queued.  Else it is queued.
 *
 * The wake.  If K5 does not see the head that C2 stored, then by the barriers K5
 * and C3 the consumer's C5 sees the tail of K4 and does not sleep.  Else the kernel
 * sees an empty ring and wakes.  When K3 saw it empty already, a wake is sent
 * anyway and no second look is needed.  A poller that is not yet on the wait queue
 * is no special case: K3 to K6 are under the lock of the wait queue, so it is
 * either found there, or its look at the tail comes after K4.  This holds for
 * edge-triggered epoll as well, whose users drain the ring before they sleep.
 *
 * Why the ring cannot overflow.  A slot is queued only when the head that the
 * kernel accepted has passed the place where it was queued last (link->pos, kept
 * when the slot is recycled); so at most one place a slot lies between head and
 * tail.  A head is accepted when it lies between the last accepted one and the
 * tail, else ignored: whatever user space writes, only its own events suffer.
 *
 * Positions are 64 bits here, so they never wrap; user space sees their low half.
 *
 * Locks: slots are written under the home lock of the op they show; the ring under
 * ctx->wq.lock.  Chunks are added under ctx->lock, and never removed before the
 * context is freed, which its mappings prevent (they hold the file).
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "internal.h"

/* Lets tests begin just before the wrap. */
static unsigned int ring_start;
module_param(ring_start, uint, 0644);
MODULE_PARM_DESC(ring_start, "first ring position of new contexts (for tests)");

/* ---- the ring ---------------------------------------------------------- */

/* What the consumer wrote, if it makes sense.  ctx->wq.lock is held. */
static u64 accept_head(struct aop_ctx *ctx)
{
	u32 ahead = READ_ONCE(*ctx->user_head) - (u32)ctx->head;

	if (ahead <= ctx->tail - ctx->head)
		WRITE_ONCE(ctx->head, ctx->head + ahead);
	return ctx->head;
}

/**
 * aop_ring_push() - queue handles whose slots have been written, and wake
 * @ctx: whose ring
 * @links: handles of it, pinned by a home lock that the caller holds
 * @nr: how many, at least 1
 */
void aop_ring_push(struct aop_ctx *ctx, struct aop_link **links, unsigned int nr)
{
	struct aop_ring *ring = ctx->ring;
	u32 mask = ctx->nr_slots - 1;
	u64 head, before, tail;

	spin_lock(&ctx->wq.lock);
	/* K2, the slots before the head.  Pairs with the consumer's C3. */
	smp_mb();
	head = accept_head(ctx);
	before = ctx->tail;
	tail = before;
	do {
		struct aop_link *link = *links++;

		if (link->pos > head)
			continue;
		WRITE_ONCE(ring->places[tail & mask], link->index);
		link->pos = ++tail;
	} while (--nr);
	if (tail == before)
		goto unlock;
	WRITE_ONCE(ctx->tail, tail);
	/* K4, the places before the tail.  Pairs with the consumer's C1. */
	smp_store_release(&ring->tail, (u32)tail);
	if (head != before) {
		/* K5, the tail before the head.  Pairs with the consumer's C3. */
		smp_mb();
		head = accept_head(ctx);
	}
	/* K6.  Under the lock of the queue, so waitqueue_active() needs no barrier. */
	if (head >= before && waitqueue_active(&ctx->wq))
		wake_up_locked_poll(&ctx->wq, EPOLLIN | EPOLLRDNORM);
unlock:
	spin_unlock(&ctx->wq.lock);
}

/* ---- memory ------------------------------------------------------------ */

/**
 * aop_ring_bytes() - what the ring takes of the read-only mapping
 * @slots: how many places
 */
u32 aop_ring_bytes(u32 slots)
{
	return PAGE_ALIGN(struct_size_t(struct aop_ring, places, slots));
}

/**
 * aop_ring_alloc() - all that does not grow
 * @ctx: fresh
 * @slots: a power of two, at least AOP_CHUNK
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM, and then aop_ring_free() must be called just the same.
 */
int aop_ring_alloc(struct aop_ctx *ctx, u32 slots)
{
	ctx->chunks = kvcalloc(slots / AOP_CHUNK, sizeof(*ctx->chunks), AOP_GFP);
	ctx->ring = __vmalloc(aop_ring_bytes(slots), AOP_GFP | __GFP_ZERO);
	ctx->user_head = (u32 *)get_zeroed_page(AOP_GFP);
	if (!ctx->chunks || !ctx->ring || !ctx->user_head)
		return -ENOMEM;
	ctx->head = ring_start;
	ctx->tail = ring_start;
	*ctx->user_head = ring_start;
	ctx->ring->tail = ring_start;
	ctx->ring->mask = slots - 1;
	return 0;
}

/**
 * aop_ring_free() - undo aop_ring_alloc() and all of aop_chunk_add()
 * @ctx: without handles and mappings
 */
void aop_ring_free(struct aop_ctx *ctx)
{
	u32 i;

	for (i = 0; i < ctx->nr_chunks; i++) {
		free_page((unsigned long)ctx->chunks[i].slots);
		kfree(ctx->chunks[i].links);
		kfree(ctx->chunks[i].clients);
	}
	ctx->nr_chunks = 0;
	free_page((unsigned long)ctx->user_head);
	vfree(ctx->ring);
	kvfree(ctx->chunks);
	ctx->user_head = NULL;
	ctx->ring = NULL;
	ctx->chunks = NULL;
}

/**
 * aop_chunk_add() - one more page of slots, all of them free
 * @ctx: its table mutex is held
 *
 * Context: may sleep.
 * Return: 0; -ENOSPC when all slots are there; -ENOMEM.
 */
int aop_chunk_add(struct aop_ctx *ctx)
{
	struct aop_chunk *chunk = &ctx->chunks[ctx->nr_chunks];
	u32 base = ctx->nr_chunks * AOP_CHUNK;
	struct aop_status *slots;
	struct aop_link *link;

	if (base == ctx->nr_slots)
		return -ENOSPC;
	chunk->links = kcalloc(AOP_CHUNK, sizeof(*chunk->links), AOP_GFP);
	slots = (struct aop_status *)get_zeroed_page(AOP_GFP);
	if (!chunk->links || !slots) {
		kfree(chunk->links);
		chunk->links = NULL;
		free_page((unsigned long)slots);
		return -ENOMEM;
	}
	for (link = chunk->links + AOP_CHUNK; link-- > chunk->links; ) {
		link->ctx = ctx;
		link->index = base + (link - chunk->links);
		link->slot = slots + (link - chunk->links);
		link->gen = 1;
		link->next = ctx->free;
		ctx->free = link;
	}
	/* The zeroed page before the pointer.  Pairs with area_fault(). */
	smp_store_release(&chunk->slots, slots);
	/* Pairs with the acquire in aop_link_own_lock(). */
	smp_store_release(&ctx->nr_chunks, ctx->nr_chunks + 1);
	return 0;
}

/* ---- mappings ---------------------------------------------------------- */

static vm_fault_t area_fault(struct vm_fault *vmf)
{
	struct aop_ctx *ctx = vmf->vma->vm_private_data;
	unsigned long ring_pages = aop_ring_bytes(ctx->nr_slots) >> PAGE_SHIFT;
	unsigned long pgoff = vmf->pgoff - 1;	/* the head's page is before it */
	struct aop_status *slots;

	if (pgoff < ring_pages) {
		vmf->page = vmalloc_to_page((void *)ctx->ring + (pgoff << PAGE_SHIFT));
	} else {
		pgoff -= ring_pages;
		if (pgoff >= ctx->nr_slots / AOP_CHUNK)
			return VM_FAULT_SIGBUS;
		/* Pairs with aop_chunk_add(). */
		slots = smp_load_acquire(&ctx->chunks[pgoff].slots);
		if (!slots)
			return VM_FAULT_SIGBUS;	/* no handle has ever been there */
		vmf->page = virt_to_page(slots);
	}
	get_page(vmf->page);
	return 0;
}

static vm_fault_t head_fault(struct vm_fault *vmf)
{
	struct aop_ctx *ctx = vmf->vma->vm_private_data;

	vmf->page = virt_to_page(ctx->user_head);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct area_vm_ops = {
	.fault = area_fault,
};

static const struct vm_operations_struct head_vm_ops = {
	.fault = head_fault,
};

/**
 * aop_ring_mmap() - map the consumer's page, or all the rest
 * @ctx: of the calling process
 * @vma: with exactly the offset and size that AOP_IOC_SETUP gave
 *
 * A child does not inherit the mappings: two consumers of one ring would each
 * see half of it.
 *
 * Return: 0; -EINVAL for other offsets, sizes, or a private mapping, or before
 * AOP_IOC_SETUP; -EACCES for rights that the area does not give.
 */
int aop_ring_mmap(struct aop_ctx *ctx, struct vm_area_struct *vma)
{
	unsigned long size = vma->vm_end - vma->vm_start;
	/* Pairs with the release in setup(): a size means that all is there. */
	u32 slots = smp_load_acquire(&ctx->nr_slots);
	u64 area;

	if (!slots || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	area = aop_ring_bytes(slots) + (u64)slots * sizeof(struct aop_status);
	if (vma->vm_pgoff == 0 && size == PAGE_SIZE) {
		if (vma->vm_flags & VM_EXEC)
			return -EACCES;
		vm_flags_mod(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP, VM_MAYEXEC);
		vma->vm_ops = &head_vm_ops;
	} else if (vma->vm_pgoff == 1 && size == area) {
		if (vma->vm_flags & (VM_WRITE | VM_EXEC))
			return -EACCES;
		vm_flags_mod(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP,
			     VM_MAYWRITE | VM_MAYEXEC);
		vma->vm_ops = &area_vm_ops;
	} else {
		return -EINVAL;
	}
	vma->vm_private_data = ctx;
	return 0;
}
