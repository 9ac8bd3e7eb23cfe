/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Work that is posted while it begins to run: two threads write something, each its own,
 * and post the same work; the run must see what was written before, or come once more.
 * What is mirrored:
 *
 *	lib/work.c:work_claim()		is it ours to queue?
 *	lib/work.c:aop_loop_post()	then it is
 *	lib/work.c:work_reset()		may be queued again, and then looks
 *
 * Memory is as weak as x86 makes it: each side's stores wait in a buffer and reach memory
 * in order, at any later time; a full barrier, and a compare and exchange, wait until it is
 * empty.  The window is a few instructions wide, so that a stress test on this does not
 * fail reliably when a barrier is taken away; here all ways are tried.
 *
 * Must hold: when all is quiet, everything that was written before a post has been seen.
 *
 * WITHOUT_CLAIM leaves the barrier of work_claim() out, WITHOUT_RESET that of
 * work_reset(): each must fail.
 */
#define POSTERS	2
#define POSTS	3

#define full_barrier(buffer)	empty(buffer)

mtype = { DATA, NEXT };
byte data[POSTERS];
bool next;			/* w->next is not NULL */
byte posted;			/* how often it stands in the loop's queue */
byte seen[POSTERS];

chan stores0 = [4] of { byte };
chan stores1 = [4] of { byte };
chan loop_stores = [2] of { bool };

active proctype drain()
{
	byte v;
	bool n;

end:	do
	:: atomic { stores0 ? v -> data[0] = v }
	:: atomic { stores1 ? v -> data[1] = v }
	:: atomic { loop_stores ? n -> next = n }
	od
}

proctype poster(byte me; chan stores)
{
	byte n;

	do
	:: n == POSTS -> break
	:: n < POSTS ->
		n++;
		stores ! n;
#ifndef WITHOUT_CLAIM
		full_barrier(stores);
#endif
		if
		:: next				/* it is on its way */
		:: !next ->
			/* Compare and exchange; aop_loop_post() does another one. */
			full_barrier(stores);
			atomic {
				if
				:: !next -> next = true; posted++
				:: else
				fi
			}
		fi
	od
}

active proctype loop()
{
	byte i;

end:	do
	:: posted ->
		assert(posted == 1);
		posted--;
		/* work_reset() */
		loop_stores ! false;
#ifndef WITHOUT_RESET
		full_barrier(loop_stores);
#endif
		i = 0;
		do
		:: i < POSTERS -> seen[i] = data[i]; i++
		:: else -> break
		od
	od
}

init {
	atomic { run poster(0, stores0); run poster(1, stores1) }
}

active proctype judge()
{
	byte i;

	atomic {
		timeout ->
		do
		:: i < POSTERS -> assert(seen[i] == POSTS && data[i] == POSTS); i++
		:: else -> break
		od
	}
}
