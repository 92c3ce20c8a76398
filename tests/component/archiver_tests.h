#ifndef MR_ARCHIVER_TESTS_H
#define MR_ARCHIVER_TESTS_H

int archiver_table_tests(void); /* counts of failures */
int archiver_older_tests(void);
int archiver_told_tests(void);

#endif
