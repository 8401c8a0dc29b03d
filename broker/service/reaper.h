#pragma once

/*
 * The service's children as the kernel has them: sessions, gates and commands that clients know,
 * and what commands have left behind, which is the service's to reap (PR_SET_CHILD_SUBREAPER).
 */

#include <stdbool.h>

struct service;

void children_have_news(struct service *service);
void children_look(struct service *service);
bool children_can_be_reaped(struct service *service);
void children_reap(struct service *service);
bool children_are_left(struct service *service);
