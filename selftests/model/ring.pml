/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ready ring: kmod/ring.c (K1 to K6) against the consumer of <linux/aop.h>, as
 * in lib/dispatch.c (C1 to C5).  The step's names are those of the proof at the head
 * of kmod/ring.c.
 *
 * Memory is as weak as x86 makes it: each side's stores wait in a buffer and reach
 * memory in order, at any later time; a full barrier waits until the buffer is empty.
 * A lock gives no more than it must: to unlock is a store like others, behind those
 * that were made under it.
 *
 * Must hold: when all is quiet the consumer has seen what each slot holds (no lost
 * event, no lost wake, also after a slot was recycled while it was queued), and no
 * slot is in the ring twice (so it cannot overflow).
 *
 * EDGE: the consumer sleeps in edge-triggered epoll, not in poll.
 * WITHOUT_K2, WITHOUT_C3, WITHOUT_K5 leave a barrier out, POS_FORGOTTEN loses the
 * ring position when a slot is recycled: each must fail (./run).
 */
#define SLOTS	2
#define PLACES	4	/* a power of two, more than SLOTS: an overflow is seen, not hidden */
#ifndef CHANGES
#define CHANGES	4
#endif

#define full_barrier(buffer)	empty(buffer)

/* Memory that both sides see. */
byte slot[SLOTS];		/* a version instead of a status */
byte place[PLACES];
byte tail;
byte head;

mtype = { SLOT, PLACE, TAIL, HEAD, WAKE, UNLOCK };
chan kernel_stores = [6] of { mtype, byte, byte };
chan user_stores = [2] of { mtype, byte };

/* The wait queue: its lock, who is on it, and whether he was woken. */
bool locked;
#ifdef EDGE
bool waiting = true;
#else
bool waiting;
#endif
bool woken;

bool kernel_done;
byte seen[SLOTS];		/* what the consumer read last of each slot */

inline lock()	{ atomic { !locked -> locked = true } }

/* The processors' store buffers: each empties by itself, in order. */
active proctype drain_kernel()
{
	byte i, v;

end:	do
	:: atomic { kernel_stores ? SLOT, i, v -> slot[i] = v }
	:: atomic { kernel_stores ? PLACE, i, v -> place[i] = v }
	:: atomic { kernel_stores ? TAIL, _, v -> tail = v }
	:: atomic { kernel_stores ? WAKE, _, _ -> woken = true }
	:: atomic { kernel_stores ? UNLOCK, _, _ -> locked = false }
	od
}

active proctype drain_user()
{
	byte v;

end:	do
	:: atomic { user_stores ? HEAD, v -> head = v }
	:: atomic { user_stores ? UNLOCK, _ -> locked = false }
	od
}

active proctype kernel()
{
	byte pos[SLOTS];	/* link->pos: behind where it was queued last */
	byte ktail, khead, before, version, s, n;

	do
	:: n == CHANGES -> break
	:: n < CHANGES ->
		n++;
		select(s : 0 .. SLOTS - 1);
		if
		:: true			/* a change */
		:: true ->		/* freed and taken by another op, never queued for it */
			version++;
			kernel_stores ! SLOT, s, version;
#ifdef POS_FORGOTTEN
			pos[s] = 0;
#endif
		fi;
		version++;
		kernel_stores ! SLOT, s, version;			/* K1 */
		lock();
#ifndef WITHOUT_K2
		full_barrier(kernel_stores);				/* K2 */
#endif
		/* K3, accept_head() */
		if
		:: head >= khead && head <= ktail -> khead = head
		:: else
		fi;
		if
		:: pos[s] > khead -> skip
		:: else ->
			before = ktail;
			kernel_stores ! PLACE, ktail % PLACES, s;
			ktail++;
			pos[s] = ktail;
			kernel_stores ! TAIL, 0, ktail;			/* K4 */
			assert(ktail - khead <= SLOTS);
			if
			:: khead != before ->
#ifndef WITHOUT_K5
				full_barrier(kernel_stores);		/* K5 */
				if
				:: head >= khead && head <= ktail -> khead = head
				:: else
				fi
#else
				skip
#endif
			:: else
			fi;
			if						/* K6 */
			:: khead >= before && waiting -> kernel_stores ! WAKE, 0, 0
			:: else
			fi
		fi;
		kernel_stores ! UNLOCK, 0, 0
	od;
	kernel_done = true
}

active proctype consumer()
{
	byte h, t, i, idx[PLACES];

take:	t = tail;							/* C1 */
	i = h;
	do
	:: i != t -> idx[i % PLACES] = place[i % PLACES]; i++
	:: else -> break
	od;
	if
	:: h != t ->
		user_stores ! HEAD, t;				/* C2 */
#ifndef WITHOUT_C3
		full_barrier(user_stores);				/* C3 */
#endif
		do							/* C4 */
		:: h != t -> seen[idx[h % PLACES]] = slot[idx[h % PLACES]]; h++
		:: else -> break
		od
	:: else
	fi;
	if
	:: tail != h -> goto take					/* C5 */
	:: else
	fi;
#ifdef EDGE
	/* Edge-triggered epoll stays on the queue, and looks at nothing before it sleeps. */
end:	atomic { woken -> woken = false };
#else
	/* poll: on the queue first, then aop_ring_ready(), which sees the own head */
	lock();
	waiting = true;
	user_stores ! UNLOCK, 0;
	if
	:: tail != h
	:: else ->
end:		woken
	fi;
	atomic { waiting = false; woken = false };
#endif
	goto take
}

/* Nobody can go on by himself: nothing may be left to see. */
active proctype judge()
{
	byte s;

	atomic {
		timeout ->
		assert(kernel_done);
		do
		:: s < SLOTS -> assert(seen[s] == slot[s]); s++
		:: else -> break
		od
	}
}
