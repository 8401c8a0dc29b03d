/*
 * nodes: an MPI program. The first rank prints how many ranks there are, and on how many nodes they
 * are, as MPI sees nodes: ranks of one node share memory. Then each rank has sent a word to it.
 */

#include <mpi.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = MPI_MAX_PROCESSOR_NAME };

/* The first rank checks that each rank has a name of its own. */
static int count_names(int size) {
    static char names[1024][NAME_SIZE];
    int n = 0;

    for (int rank = 1; rank < size && rank < 1024; rank++)
        MPI_Recv(names[rank], NAME_SIZE, MPI_CHAR, rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Get_processor_name(names[0], &(int){0});
    for (int i = 0; i < size; i++) {
        int j = 0;

        while (j < i && strcmp(names[i], names[j]) != 0)
            j++;
        n += j == i;
    }
    return n;
}

int main(int argc, char **argv) {
    char name[NAME_SIZE] = "";
    int rank, size, length, rank_on_node, is_first, n_nodes;
    MPI_Comm node;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &rank_on_node);
    is_first = rank_on_node == 0;
    MPI_Allreduce(&is_first, &n_nodes, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Get_processor_name(name, &length);
    if (rank > 0)
        MPI_Send(name, NAME_SIZE, MPI_CHAR, 0, 0, MPI_COMM_WORLD);
    else
        printf("%d ranks on %d nodes with %d names\n", size, n_nodes, count_names(size));
    MPI_Finalize();
    return 0;
}
