/*
 * Watches every use of the cipher
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIG_ORACLE_H
#define MIG_ORACLE_H

/*
 * No IV was used twice under one key in this program so far, and no cipher
 * outlived its session.  For the last test of a program.
 */
void oracle_check(void);

#endif
