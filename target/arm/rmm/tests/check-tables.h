/*
 * Are the translation tables of all Realms as the text says?
 *
 * Purpose: reads every descriptor with its own idea of the encodings (rtt.h
 * at "Descriptors" and "Ownership"), not with the library's.
 *
 * Lock rule: nobody else is inside the library.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHECK_TABLES_H
#define CHECK_TABLES_H

#include "rmm.h"

/* Does @desc make sense at @level, in that half, and who owns its memory? */
typedef enum CheckedOwner {
    OWNER_NOBODY, OWNER_REALM, OWNER_GAVE_UP, OWNER_HOST, OWNER_NONSENSE
} CheckedOwner;

CheckedOwner check_leaf(uint64_t desc, int level, bool unprotected,
                        bool lpa2);

/*
 * Assert it for all Realms: each entry makes sense where it stands, and each
 * granule that it names is in the state that goes with it and is named once.
 */
void check_tables(Rmm *rmm);

#endif
