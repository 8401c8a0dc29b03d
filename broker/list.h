#pragma once

/* A doubly linked list. A link is part of its owner, which is in no more than one list by it. */

#include <stddef.h>

struct list_link {
    struct list *list; /* NULL: in none */
    struct list_link *previous, *next;
    void *owner;
};

struct list {
    struct list_link *first, *last;
    size_t n;
};

/* Puts @link of @owner, which is in no list, at the end of @list. */
static inline void list_append(struct list *list, struct list_link *link, void *owner) {
    *link = (struct list_link){.list = list, .previous = list->last, .owner = owner};
    *(list->last != NULL ? &list->last->next : &list->first) = link;
    list->last = link;
    list->n++;
}

/* Takes @link out of its list, if it is in one. */
static inline void list_remove(struct list_link *link) {
    struct list *list = link->list;

    if (list == NULL)
        return;
    *(link->previous != NULL ? &link->previous->next : &list->first) = link->next;
    *(link->next != NULL ? &link->next->previous : &list->last) = link->previous;
    list->n--;
    link->list = NULL;
}
