/*
 * Memory backend: RAM that is a guest_memfd of KVM's
 *
 * Both halves of a confidential guest's memory are in the one file, and a page
 * is converted where it is.  backends/hostmem-guest-memfd.c says more.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_HOSTMEM_GUEST_MEMFD_H
#define SYSTEM_HOSTMEM_GUEST_MEMFD_H

#define TYPE_MEMORY_BACKEND_GUEST_MEMFD "memory-backend-guest-memfd"

#endif
