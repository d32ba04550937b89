/*
 * When the machine of a Realm runs, stops, and is reset
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ARM_REALM_RUN_H
#define HW_ARM_REALM_RUN_H

/* The machine is a Realm: its backend is set.  Called once, under the BQL. */
void realm_run_init(void);

#endif
