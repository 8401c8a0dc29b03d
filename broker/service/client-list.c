#include "broker/service/client.h"

/* Takes @client out of its list. */
void client_list_remove(struct client *client) {
    struct client_list *list = client->list;

    *(client->before != NULL ? &client->before->behind : &list->first) = client->behind;
    *(client->behind != NULL ? &client->behind->before : &list->last) = client->before;
    list->n--;
}

/* Puts @client, which is in no list, behind the last of @list. */
void client_list_append(struct client *client, struct client_list *list) {
    client->list = list;
    client->before = list->last;
    client->behind = NULL;
    *(list->last != NULL ? &list->last->behind : &list->first) = client;
    list->last = client;
    list->n++;
}

/* Takes @client out of its list, and puts it behind the last of @list. */
void client_list_move(struct client *client, struct client_list *list) {
    client_list_remove(client);
    client_list_append(client, list);
}
