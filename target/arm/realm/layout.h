/*
 * What a Realm's memory holds at its start
 *
 * Purpose: keep the ranges of RAM that the machine declared and the images that
 * the loader wrote there.  The measurement must not depend on the order of
 * loading, so images are given back in whole pages, in ascending order, each
 * page once.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_ARM_REALM_LAYOUT_H
#define TARGET_ARM_REALM_LAYOUT_H

#include "system/realm-backend.h"

typedef struct RealmRange {
    uint64_t base, top;
} RealmRange;

typedef struct RealmLayout {
    uint64_t page_size;         /* bytes: a power of two, at least 4096 */
    uint64_t limit;             /* where the shared half begins */
    GArray *ram;                /* of RealmRange: pages, ascending, disjoint */
    GArray *images;             /* of RealmRange: bytes, as they were loaded */
    bool fixed;                 /* the Realm was created: it stays as it is */
} RealmLayout;

/* @page_size: in bytes, the smallest piece that the backend can populate. */
void realm_layout_init(RealmLayout *layout, const RealmConfig *config,
                       uint64_t page_size);

/* See RealmBackendOps.init_ripas; false with @errp set for a bad range. */
bool realm_layout_add_ram(RealmLayout *layout, uint64_t base, uint64_t size,
                          Error **errp);

/*
 * The loader wrote @size bytes at @base.  Bytes outside RAM are left out; once
 * the Realm is created, the call does nothing.
 */
void realm_layout_add_image(RealmLayout *layout, uint64_t base, uint64_t size);

/* The Realm has ended; the loader will write its images again. */
void realm_layout_reset(RealmLayout *layout);

/* Whether all of [@base, @base + @size) is RAM, and does not wrap. */
bool realm_layout_is_ram(const RealmLayout *layout, uint64_t base,
                         uint64_t size);

/* Where the range of RAM that has @address ends; 0 if that is not RAM. */
uint64_t realm_layout_ram_top(const RealmLayout *layout, uint64_t address);

/*
 * The pages of the images, sorted and merged; the caller unrefs the array of
 * RealmRange.
 */
GArray *realm_layout_images(const RealmLayout *layout);

#define realm_range(array, n) g_array_index(array, RealmRange, n)

#endif
