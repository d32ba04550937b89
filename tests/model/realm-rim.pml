/*
 * Realm migration, a model of what a RIM says for SPIN
 *
 * Purpose: can a bad source get its own code attested as somebody else's
 * Realm?  See docs/specs/realm-migration-stream.rst, "Policy": the RIM says
 * who may have sent the Realm.  `check` runs this.
 *
 * What there is
 *   RIMs as terms.  A Realm's host measures its code, which gives a base; a
 *   Realm that may migrate then has the base extended by its policy.  There
 *   are two codes, and the policies DEFAULT and two others.
 *   A destination with any policy, or none of its own, which is DEFAULT.  A
 *   source's RMM that this policy lets in, and that sends whatever RIM and
 *   whatever policy it likes: a base, or one that is extended already.
 *   Hashes are ideal: two RIMs are the same if they were made of the same
 *   steps from the same code, and not else.
 *
 * What there is not
 *   Who is let in by a policy; the rest of the Realm.  That C and this text
 *   measure alike: the unit tests compare bytes, and try all pairs with the
 *   hash.
 *
 * Property (ONLY=n checks n alone)
 *   10. No RIM that an import can give is one of a Realm without the flag
 *       MIGRATION, or of one with another policy than the destination's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "rules.h"

#define CODES           2
#define NONE            0       /* no flag MIGRATION: nothing is extended */
#define DEFAULT         1
#define POLICIES        3       /* the last one */

/*
 * A term in a short: the code, and three bits for each step after it. A step
 * is a policy's, by its number, or of another type: MEASURED is a page that
 * holds whatever the Realm's host likes, also what a policy's step hashes.
 */
#define MEASURED(p)     (NO(TYPE) -> (p) : (p) + 4)
#define CODE(c)         ((c) + 1)
#define EXTEND(rim, step) ((rim) << 3 | (step))

/* What REALM_ACTIVATE makes of the base, and an import of what it was sent */
#define WITH_POLICY(rim, p) \
    ((p) == NONE || (p) == DEFAULT && NO(DEFAULT_TOO) -> (rim) \
                                                      : EXTEND(rim, p))

active proctype import()
{
    short sent, rim, victim;
    byte own, policy, of_victim, i;

    /* The RIM and the policy in the immutable state: anything */
    select(i : 0 .. CODES - 1);
    sent = CODE(i);
    do
    :: sent < 1 << 6 ->
        select(i : 1 .. 7);
        sent = EXTEND(sent, i)
    :: break
    od;
    select(own : DEFAULT .. POLICIES);
    select(policy : DEFAULT .. POLICIES);
    printf("source     sends RIM 0%o, policy %d\n", sent, policy);
    if
    :: policy == own || NO(SAME_POLICY)
    :: else -> goto end         /* refused */
    fi;

    if
    :: NO(RIM_BEFORE) -> rim = sent
    :: else -> rim = WITH_POLICY(sent, (NO(OWN_POLICY) -> policy : own))
    fi;
    printf("dest. 0    has policy %d, makes RIM 0%o\n", own, rim);

    /* A Realm that somebody has: any code, a page at most, any policy */
    select(i : 0 .. CODES - 1);
    victim = CODE(i);
    select(i : 0 .. POLICIES);
    if
    :: true -> victim = EXTEND(victim, MEASURED(i))
    :: true
    fi;
    select(of_victim : NONE .. POLICIES);
    victim = WITH_POLICY(victim, of_victim);
    printf("Realm      of policy %d has RIM 0%o\n", of_victim, victim);
    SITUATION(14, rim == victim);
    PROPERTY(10, rim != victim || of_victim == own);

end:
    skip
}
