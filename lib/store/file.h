/* file: what file.c and file_list.c share. */
#ifndef MR_STORE_FILE_H
#define MR_STORE_FILE_H

#include "store/driver.h"

/* Fills call's items from the tree below dir_fd. -1 and errno when a folder cannot be read. */
int mr_store_file_walk(int dir_fd, struct mr_store_call *call);

#endif
