/*
 * A chain of blocks, filled from the front. Reset keeps the blocks, so that a step that runs a
 * million times allocates in its first rounds only. The address sanitizer is told what is out of
 * use: without it a use after reset goes unseen, as the memory is still ours.
 */
#include "base/base.h"

#include <protobuf-c/protobuf-c.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1 /* gcc defines it by itself */
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes)   ((void)(data), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#endif

enum { BLOCK_MIN = 64 * 1024, ALIGNMENT = 16 };

struct mr_arena_block {
    struct mr_arena_block *next;
    size_t size, used;
    _Alignas(ALIGNMENT) char data[];
};

void
mr_arena_init(struct mr_arena *arena)
{
    *arena = (struct mr_arena){ 0 };
}

void
mr_arena_fini(struct mr_arena *arena)
{
    for (struct mr_arena_block *block = arena->first; block != NULL;) {
        struct mr_arena_block *next = block->next;
        ASAN_UNPOISON_MEMORY_REGION(block->data, block->size);
        free(block);
        block = next;
    }
    mr_arena_init(arena);
}

void
mr_arena_reset(struct mr_arena *arena)
{
    for (struct mr_arena_block *block = arena->first; block != NULL; block = block->next) {
        ASAN_POISON_MEMORY_REGION(block->data, block->size);
        block->used = 0;
    }
    arena->current = arena->first;
    arena->used = 0;
}

/* The next block with room behind the current one, or a new one put there. */
static struct mr_arena_block *
advance(struct mr_arena *arena, size_t bytes)
{
    struct mr_arena_block *after = arena->current;
    while (after != NULL && after->next != NULL) {
        after = after->next;
        if (after->size - after->used >= bytes)
            return arena->current = after;
    }
    size_t size = bytes > BLOCK_MIN ? bytes : BLOCK_MIN;
    struct mr_arena_block *block = malloc(sizeof(*block) + size);
    MR_ASSERT(block != NULL);
    *block = (struct mr_arena_block){ .size = size };
    ASAN_POISON_MEMORY_REGION(block->data, size);
    if (after == NULL)
        arena->first = block;
    else
        after->next = block;
    return arena->current = block;
}

void *
mr_arena_alloc(struct mr_arena *arena, size_t bytes)
{
    MR_ASSERT(bytes < SIZE_MAX - ALIGNMENT);
    size_t rounded = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct mr_arena_block *block = arena->current;
    if (block == NULL || block->size - block->used < rounded)
        block = advance(arena, rounded);
    void *room = block->data + block->used;
    ASAN_UNPOISON_MEMORY_REGION(room, bytes);
    block->used += rounded;
    arena->used += rounded;
    return room;
}

void *
mr_arena_copy(struct mr_arena *arena, const void *data, size_t bytes)
{
    char *copy = mr_arena_alloc(arena, bytes + 1);
    if (bytes > 0)
        memcpy(copy, data, bytes);
    copy[bytes] = '\0';
    return copy;
}

static void *
allocator_alloc(void *arena, size_t bytes)
{
    return mr_arena_alloc(arena, bytes);
}

static void
allocator_free(void *arena, void *pointer)
{
    (void)arena;
    (void)pointer;
}

void
mr_arena_protobuf(struct mr_arena *arena, struct ProtobufCAllocator *ret_allocator)
{
    *ret_allocator = (ProtobufCAllocator){ .alloc = allocator_alloc,
                                           .free = allocator_free,
                                           .allocator_data = arena };
}
