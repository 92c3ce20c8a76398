/*
 * A password hash is slow on purpose: tens of milliseconds, in which the door would stand still. So
 * it runs on a thread of its own, once for a user and password, and the requests that wait for it
 * take their way anew when it is done; they then find the verdict among what is known. An unknown
 * user costs the same time as a wrong password.
 */
#include "gateway/identify.h"

#include "clock/clock.h"
#include "service/service.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <stdlib.h>

enum {
    JOBS_MAX = 32,            /* different passwords under way */
    WAITERS_MAX = 1024,       /* requests that wait for them */
    SHOWN_BYTES_MAX = 1024,   /* user and password in base64 */
    GOOD_MS = 10 * 60 * 1000, /* then the hash is checked again */
    BAD_MS = 10 * 1000,
};

struct waiter {
    struct mr_http_request *request;
    struct waiter *next;
};

struct password_job {
    struct mr_job job;
    struct password_job *next;
    struct waiter *waiters; /* in the requests' memory */
    struct known_key key;
    struct entry *entry; /* NULL: the user is not known */
    unsigned policies;   /* how many there had been */
    bool is_right;
    char *password, *hash;
};

struct passwords {
    struct mr_worker *worker;
    mr_http_handler *again;
    void *self;
    uint8_t secret[KNOWN_HASH_BYTES];
    struct known good, bad;
    struct password_job *jobs;
    size_t waiters_count;
    unsigned policies;
};

struct passwords *
passwords_open(mr_http_handler *again, void *self)
{
    struct passwords *passwords = mr_alloc(sizeof(*passwords));
    passwords->worker = mr_worker_open(JOBS_MAX);
    passwords->again = again;
    passwords->self = self;
    mr_random(passwords->secret, sizeof(passwords->secret));
    return passwords;
}

static void
job_free(struct password_job *job)
{
    OPENSSL_cleanse(job->password, strlen(job->password));
    free(job->password);
    free(job->hash);
    free(job);
}

void
passwords_close(struct passwords *passwords)
{
    if (passwords == NULL)
        return;
    mr_worker_close(passwords->worker);
    while (passwords->jobs != NULL) {
        struct password_job *job = passwords->jobs;
        passwords->jobs = job->next;
        job_free(job);
    }
    free(passwords);
}

int
passwords_fd(const struct passwords *passwords)
{
    return mr_worker_fd(passwords->worker);
}

void
passwords_forget(struct passwords *passwords)
{
    passwords->policies++;
    memset(&passwords->good, 0, sizeof(passwords->good));
    memset(&passwords->bad, 0, sizeof(passwords->bad));
}

/* ---- the slow part ---- */

static int
run(struct mr_job *self, struct mr_err *err)
{
    struct password_job *job = (struct password_job *)self;
    struct crypt_data *data = mr_alloc(sizeof(*data));
    const char *hash = crypt_rn(job->password, job->hash, data, sizeof(*data));
    (void)err;
    size_t length = strlen(job->hash);
    job->is_right = hash != NULL && strlen(hash) == length &&
                    CRYPTO_memcmp(hash, job->hash, length) == 0 && job->entry != NULL;
    OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    return 0;
}

static void
finish(struct passwords *passwords, struct password_job *job)
{
    struct password_job **at = &passwords->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    if (job->policies == passwords->policies)
        known_put(job->is_right ? &passwords->good : &passwords->bad, &job->key,
                  job->is_right ? job->entry : NULL,
                  mr_wall_ms() + (job->is_right ? GOOD_MS : BAD_MS));
    struct waiter *waiter = job->waiters;
    job_free(job);
    while (waiter != NULL) {
        struct waiter *next = waiter->next; /* the request may be over after this */
        passwords->waiters_count--;
        passwords->again(passwords->self, waiter->request);
        waiter = next;
    }
}

void
passwords_serve(void *self)
{
    struct passwords *passwords = self;
    struct mr_job *job;
    while ((job = mr_worker_done(passwords->worker, 0)) != NULL)
        finish(passwords, (struct password_job *)job);
}

/* ---- the quick part ---- */

static struct password_job *
submit(struct passwords *passwords, const struct known_key *key, const char *password,
       const struct credential *user, const char *hash)
{
    struct password_job *job = mr_alloc(sizeof(*job));
    job->job.run = run;
    job->key = *key;
    job->policies = passwords->policies;
    job->entry = user != NULL ? user->entry : NULL;
    job->password = mr_strdup(password);
    job->hash = mr_strdup(hash);
    if (mr_worker_submit(passwords->worker, &job->job, NULL) != 0) {
        job_free(job);
        return NULL;
    }
    job->next = passwords->jobs;
    passwords->jobs = job;
    return job;
}

static enum verdict
wait_for(struct passwords *passwords, struct password_job *job, struct mr_http_request *request,
         struct shown *ret)
{
    if (job == NULL || passwords->waiters_count == WAITERS_MAX)
        return shown_bad(ret, REFUSED_BUSY, "too many passwords are being checked; try again");
    struct waiter *waiter = mr_arena_alloc(mr_http_arena(request), sizeof(*waiter));
    *waiter = (struct waiter){ .request = request, .next = job->waiters };
    job->waiters = waiter;
    passwords->waiters_count++;
    return LATER;
}

static struct password_job *
job_of(const struct passwords *passwords, const struct known_key *key)
{
    struct password_job *job = passwords->jobs;
    while (job != NULL && (job->policies != passwords->policies ||
                           CRYPTO_memcmp(&job->key, key, sizeof(*key)) != 0))
        job = job->next;
    return job;
}

static bool
decode(struct mr_slice encoded, char *ret_text, char **ret_password)
{
    if (encoded.size > SHOWN_BYTES_MAX)
        return false;
    int64_t size = mr_base64_decode(encoded, ret_text);
    if (size < 0)
        return false;
    ret_text[size] = '\0';
    char *colon = memchr(ret_text, ':', (size_t)size);
    if (colon == NULL || strlen(ret_text) != (size_t)size)
        return false;
    *colon = '\0';
    *ret_password = colon + 1;
    return true;
}

enum verdict
passwords_check(struct passwords *passwords, const struct policy *policy,
                struct mr_http_request *request, struct mr_slice encoded, struct shown *ret)
{
    static const char wrong[] = "user or password is wrong";
    char text[SHOWN_BYTES_MAX + 4], *password;
    struct known_key key;
    int64_t now_ms = mr_wall_ms();
    ret->method = METHOD_BASIC;
    known_hash(passwords->secret, encoded, &key);
    if (known_get(&passwords->good, &key, now_ms, &ret->entry))
        return GOOD;
    if (policy->credentials_count[METHOD_BASIC] == 0 ||
        known_get(&passwords->bad, &key, now_ms, &ret->entry))
        return shown_bad(ret, REFUSED_WRONG, wrong);
    struct password_job *job = job_of(passwords, &key);
    if (job == NULL) {
        if (!decode(encoded, text, &password))
            return shown_bad(ret, REFUSED_WRONG, "Authorization: Basic is not user:password");
        const struct credential *user = policy_find(policy, METHOD_BASIC, text);
        const char *decoy = policy->credentials[METHOD_BASIC][0].secret;
        job = submit(passwords, &key, password, user, user != NULL ? user->secret : decoy);
        OPENSSL_cleanse(text, sizeof(text));
    }
    return wait_for(passwords, job, request, ret);
}
