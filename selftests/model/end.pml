/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How one op ends: its owner, a cancel, its deadline and the owner's death at the same
 * time, and who waits for that.  What is mirrored, and ./run looks whether it is still
 * there:
 *
 *	kmod/op.c:aop_start_locked()		accept, or find that it is final
 *	kmod/op.c:aop_cancel_locked()		three answers
 *	kmod/change.h:__aop_end_locked()	the first wins
 *	kmod/change.h:__aop_end_owned_locked()	and the owner has let go in any case
 *	kmod/change.h:__aop_changed()		who waits is told under the same lock
 *	kmod/deadline.c:deadline_expired()	holds no reference: takes one if there is one
 *	kmod/deadline.c:free_work()		and the op goes after its timer
 *	kmod/wait.c:hang_and_sleep()		looks and hangs in one go
 *	kmod/wait.c:wait_changed()		counts, then wakes
 *	kmod/wait.c:sleep()			says that it sleeps, then counts
 *
 * Must hold: it becomes final once, and exactly one of those who end it is told that it
 * was him; it is OVER once its owner has let go, and not before; an owner that was asked
 * is woken, and so is who waits for the end; nothing of it is touched once it is freed.
 *
 * WITHOUT_TABLE ends what is final, ENDS_IN_TWO looks and ends in two sections, PLAIN_GET
 * takes a reference where there may be none, FREE_EARLY does not wait for the timer,
 * LOOK_BEFORE hangs in another section than it looks, COUNT_FIRST counts before it says
 * that it sleeps, OVER_AT_END forgets that the owner has not let go: each must fail.
 */
#define PENDING		0
#define RUNNING		1
#define DONE		2
#define FAILED		3
#define CANCELLED	4

#define FINAL		(state >= DONE)

bool locked;
byte state = PENDING;
bool asked, over;
bool owned = true;
byte refs = 2;			/* the owner's handle and the watcher's */
bool freed;

bool armed = true;		/* the deadline's timer */
bool running;			/* its callback */

byte ends;			/* how often it became final */
byte wins;			/* how many were told that it was them */
byte let_go;

/* Two who wait: 0, the owner, to be asked or for the end; 1, the watcher, for OVER. */
bool hung[2];
bool sleeps[2];
byte missing[2];

inline lock()
{
	atomic { !locked -> locked = true };
	assert(!freed)
}

inline unlock()	{ locked = false }

#define holds(who)	(who == 0 -> asked || FINAL : over)

/* __aop_changed(), wait_changed() */
inline changed()
{
	w = 0;
	do
	:: w < 2 ->
		if
		:: hung[w] && holds(w) ->
			hung[w] = false;
			missing[w]--;
			sleeps[w] = false
		:: else
		fi;
		w++
	:: else -> break
	od
}

/* __aop_end_locked() */
inline end_it(to)
{
#ifdef WITHOUT_TABLE
	if
	:: true ->
#else
	if
	:: FINAL -> won = false
	:: else ->
#endif
#ifdef ENDS_IN_TWO
		unlock();
		lock();
#endif
		state = to;
		ends++;
		won = true;
		wins++;
		if
#ifdef OVER_AT_END
		:: true -> over = true
#endif
		:: !owned -> over = true
		:: else
		fi;
		/* Only tried: the callback takes the lock. */
		if
		:: !running -> armed = false
		:: else
		fi;
		changed()
	fi
}

/* __aop_end_owned_locked() */
inline end_owned(to)
{
	owned = false;
	let_go++;
	end_it(to);
	if
	:: !won && !over -> over = true; changed()
	:: else
	fi
}

inline put()
{
	refs--
}

/* hang_and_sleep(), sleep() */
inline wait(who)
{
	missing[who] = 1;
	lock();
#ifdef LOOK_BEFORE
	if
	:: holds(who) -> missing[who] = 0; unlock()
	:: else -> unlock(); lock(); hung[who] = true; unlock()
	fi;
#else
	if
	:: holds(who) -> missing[who] = 0
	:: else -> hung[who] = true
	fi;
	unlock();
#endif
	do
#ifdef COUNT_FIRST
	:: missing[who] == 0 -> break
	:: missing[who] > 0 -> sleeps[who] = true; !sleeps[who]
#else
	:: sleeps[who] = true;
		if
		:: missing[who] == 0 -> break
		:: else -> !sleeps[who]
		fi
#endif
	od;
	sleeps[who] = false
}

active proctype owner()
{
	byte w;
	bool won;

	lock();
	/* aop_start_locked() */
	if
	:: FINAL -> end_owned(FAILED); unlock(); goto gone
	:: else -> state = RUNNING; unlock()
	fi;
	if
	:: skip						/* ends at once */
	:: wait(0)					/* until it is asked, or too late */
	fi;
	lock();
	if
	:: end_owned(DONE)
	:: end_owned(CANCELLED)				/* acknowledges */
	:: end_owned(FAILED)				/* dies: aop_let_go_locked() */
	fi;
	unlock();
gone:	lock();
	put();
	unlock()
}

active proctype canceller()
{
	byte w;
	bool won;

	/* Has a handle of its own while it is at it; if it cannot get one, all is over. */
	if
	:: atomic { refs > 0 -> refs++ }
	:: atomic { refs == 0 -> goto out }
	fi;
	lock();
	/* aop_cancel_locked() */
	if
	:: FINAL					/* AOP_TOO_LATE */
	:: state == PENDING -> end_it(CANCELLED)	/* AOP_STOPPED */
	:: state == RUNNING -> asked = true; changed()	/* AOP_ASKED */
	fi;
	put();
	unlock();
out:	skip
}

active proctype timer()
{
	byte w;
	bool won;

	/* Fires whenever it likes, unless it is cancelled before. */
	if
	:: atomic { armed -> armed = false; running = true }
	:: atomic { !armed -> goto out }
	fi;
	assert(!freed);
#ifdef PLAIN_GET
	refs++;
#else
	if
	:: atomic { refs > 0 -> refs++ }
	:: atomic { refs == 0 -> running = false; goto out }
	fi;
#endif
	lock();
	end_it(FAILED);
	put();
	unlock();
	running = false;
out:	skip
}

active proctype watcher()
{
	byte how;

	wait(1);
	lock();
	assert(FINAL && over && ends == 1);
	how = state;
	unlock();
	lock();
	assert(state == how);
	put();
	unlock()
}

/* aop_free(), and the work item of the deadline */
active proctype free_work()
{
	refs == 0;
#ifdef FREE_EARLY
	freed = true;
#else
	/* hrtimer_cancel() */
	atomic { !running -> armed = false };
	assert(refs == 0);
	freed = true;
#endif
	assert(ends == 1 && wins == 1 && let_go == 1 && over)
}

/* Nobody is told that it is over while the owner is still at it. */
active proctype judge()
{
	atomic { over -> assert(!owned) }
}
