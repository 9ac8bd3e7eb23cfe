/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A message that is sent just when its receiver begins to wait.  What is mirrored:
 *
 *	lib/stream.h:commit()			the message is there
 *	lib/stream.h:wake_if()			does somebody wait?
 *	lib/stream_serve.c:stream_wait()	into the line
 *	lib/stream_serve.c:serve()		says so, and looks once more
 *
 * Memory is as weak as x86 makes it: each side's stores wait in a buffer and reach memory
 * in order, at any later time, and each side sees its own.  A lock gives no more than it
 * must: to unlock is a store like others.  barrier_heavy() waits until both buffers have
 * been empty, once; barrier_light() is nothing at all.
 *
 * Must hold: when all is quiet each message has been received, and nobody waits.
 *
 * FENCE: as without membarrier(), where both sides have a full barrier (WORD_FENCE).
 * WITHOUT_HEAVY leaves the sleeper's barrier out, ONLY_OWN makes it one of his processor
 * only; with FENCE, WITHOUT_LIGHT leaves the sender's out: each must fail.
 */
#define MESSAGES	3

#define empty_once(buffer)	empty(buffer)

mtype = { SEQ, WORD, UNLOCK };

byte sent;			/* messages in the ring: slots whose seq says so */
bool word;			/* WORD_READERS */
bool locked;

/* Under the lock. */
bool in_line;
byte got;

chan tx_stores = [8] of { mtype, byte };
chan rx_stores = [8] of { mtype, byte };

/* What of word the sender has stored himself, and still sees. */
byte tx_words;
bool tx_word;
byte tx_sent;

inline lock()	{ atomic { !locked -> locked = true } }

active proctype drain_tx()
{
	byte v;

end:	do
	:: atomic { tx_stores ? SEQ, v -> sent = v }
	:: atomic { tx_stores ? WORD, v -> word = v; tx_words-- }
	:: atomic { tx_stores ? UNLOCK, _ -> locked = false }
	od
}

active proctype drain_rx()
{
	byte v;

end:	do
	:: atomic { rx_stores ? WORD, v -> word = v }
	:: atomic { rx_stores ? UNLOCK, _ -> locked = false }
	od
}

inline barrier_heavy(mine, theirs)
{
#ifndef WITHOUT_HEAVY
	empty_once(mine);
#if !defined(ONLY_OWN) && !defined(FENCE)
	empty_once(theirs);
#endif
#endif
	skip
}

active proctype sender()
{
	do
	:: tx_sent == MESSAGES -> break
	:: tx_sent < MESSAGES ->
		/* commit() */
		tx_sent++;
		tx_stores ! SEQ, tx_sent;
		/* wake_if() */
#if defined(FENCE) && !defined(WITHOUT_LIGHT)
		empty_once(tx_stores);
#endif
		if
		:: (tx_words -> tx_word : word) ->
			lock();
			/* serve(): the bit is set already; his own messages he sees. */
			if
			:: in_line && tx_sent > got -> got++; in_line = false
			:: else
			fi;
			atomic { tx_word = in_line; tx_words++ };
			tx_stores ! WORD, tx_word;
			tx_stores ! UNLOCK, 0
		:: else
		fi
	od
}

active proctype receiver()
{
	byte n;

	do
	:: n == MESSAGES -> break
	:: n < MESSAGES ->
		n++;
		/* stream_wait() */
		lock();
		in_line = true;
		/* serve() */
		if
		:: !word ->
			rx_stores ! WORD, true;
			barrier_heavy(rx_stores, tx_stores)
		:: else
		fi;
		if
		:: sent > got -> got++; in_line = false
		:: else
		fi;
		rx_stores ! WORD, in_line;
		rx_stores ! UNLOCK, 0;
		/* Until the op has ended. */
end:		got == n
	od
}

active proctype judge()
{
	atomic {
		timeout -> assert(got == MESSAGES && !in_line)
	}
}
