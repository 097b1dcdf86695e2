/* tls/session.c: TLS sessions over a line that the caller reads and writes.
 *
 * OpenSSL's own sockets write with write(2), which raises SIGPIPE: so a BIO of ours goes between.
 */
#include "tls/openssl.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session {
    SSL *ssl;
    struct seal_line line;
    int failed; /* the line's last -errno of a read, but -EAGAIN; 0: none */
    int unsent; /* the same of a write. OpenSSL is told that there is no room, and can still read what has come */
    bool ended; /* the line has ended */
    bool agreed, broken;
};

/* ---- the line as a BIO ---- */

static int line_read(BIO *bio, char *bytes, int size)
{
    struct session *session = BIO_get_data(bio);
    ssize_t got = session->line.read(session->line.line, bytes, (size_t)size);
    BIO_clear_retry_flags(bio);
    if (got == -EAGAIN)
        BIO_set_retry_read(bio);
    else if (got == 0)
        session->ended = true;
    else if (got < 0)
        session->failed = (int)got;
    return got == 0 ? 0 : got < 0 ? -1 : (int)got;
}

static int line_write(BIO *bio, const char *bytes, int size)
{
    struct session *session = BIO_get_data(bio);
    ssize_t sent = session->line.write(session->line.line, bytes, (size_t)size);
    BIO_clear_retry_flags(bio);
    if (sent < 0)
        BIO_set_retry_write(bio);
    if (sent < 0 && sent != -EAGAIN)
        session->unsent = (int)sent;
    return sent < 0 ? -1 : (int)sent;
}

static long line_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *line_method;
static pthread_once_t line_once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "brood");
    if (method && BIO_meth_set_read(method, line_read) && BIO_meth_set_write(method, line_write) &&
        BIO_meth_set_ctrl(method, line_control))
        line_method = method;
    else
        BIO_meth_free(method);
}

/* ---- what a listener's connections have in common ---- */

static void *give_up(SSL_CTX *context, char why[SEAL_WHY], const char *what, const char *file)
{
    char reason[120] = "no memory";
    unsigned long error = ERR_peek_last_error();
    if (error)
        ERR_error_string_n(error, reason, sizeof reason);
    snprintf(why, SEAL_WHY, "%s%s%.40s%s: %s", what, file ? " '" : "", file ? file : "", file ? "'" : "", reason);
    ERR_clear_error();
    SSL_CTX_free(context);
    return NULL;
}

/* Instead of OpenSSL's own, which asks at the terminal, and waits. */
static int no_passphrase(char *place, int size, int writes, void *data)
{
    (void)place;
    (void)size;
    (void)writes;
    (void)data;
    return -1;
}

void *tls_context_create(const struct seal_plan *plan, char why[SEAL_WHY])
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(plan->listens ? TLS_server_method() : TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION))
        return give_up(context, why, "TLS", NULL);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* No session is resumed (by TLS 1.2, and by 1.3), and nothing comes that is no message. */
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    if (plan->certificate) {
        if (SSL_CTX_use_certificate_chain_file(context, plan->certificate) != 1)
            return give_up(context, why, "the certificate", plan->certificate);
        if (SSL_CTX_use_PrivateKey_file(context, plan->private_key, SSL_FILETYPE_PEM) != 1 ||
            SSL_CTX_check_private_key(context) != 1)
            return give_up(context, why, "the private key", plan->private_key);
    }
    if (plan->authority && SSL_CTX_load_verify_locations(context, plan->authority, NULL) != 1)
        return give_up(context, why, "the authority", plan->authority);
    if (plan->listens && plan->authority) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(plan->authority);
        if (!names)
            return give_up(context, why, "the authority", plan->authority);
        SSL_CTX_set_client_CA_list(context, names);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    } else if (!plan->listens) {
        if (!plan->authority && SSL_CTX_set_default_verify_paths(context) != 1)
            return give_up(context, why, "the system's authorities", NULL);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    }
    return context;
}

void tls_context_destroy(void *context)
{
    SSL_CTX_free(context);
}

/* ---- one connection ---- */

/* The name, or the number, that the other end's certificate must have. */
static bool expect_host(SSL *ssl, const char *host)
{
    if (!host)
        return true;
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
        return true;
    ERR_clear_error();
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
}

void *tls_session_create(void *context, const struct seal_line *line, const char *host)
{
    pthread_once(&line_once, make_method);
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->line = *line;
    session->ssl = SSL_new(context);
    BIO *bio = line_method && session->ssl ? BIO_new(line_method) : NULL;
    if (!bio || !expect_host(session->ssl, host)) {
        BIO_free(bio);
        SSL_free(session->ssl);
        free(session);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    if (SSL_is_server(session->ssl))
        SSL_set_accept_state(session->ssl);
    else
        SSL_set_connect_state(session->ssl);
    return session;
}

void tls_session_destroy(void *handle)
{
    struct session *session = handle;
    SSL_free(session->ssl);
    free(session);
}

/* What a call that did not succeed says: SEAL_READS, SEAL_WRITES, or -errno. */
static int outcome(struct session *session, int result)
{
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return SEAL_READS;
    case SSL_ERROR_WANT_WRITE:
        return session->unsent ? session->unsent : SEAL_WRITES;
    case SSL_ERROR_ZERO_RETURN:
        return -EPIPE;
    default:
        session->broken = true;
        return session->failed ? session->failed : session->ended ? -EPIPE : -EPROTO;
    }
}

int tls_agree(void *handle, char why[SEAL_WHY])
{
    struct session *session = handle;
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    if (result == 1) {
        session->agreed = true;
        return 0;
    }
    int failed = outcome(session, result);
    if (failed > 0)
        return failed;
    long verified = SSL_get_verify_result(session->ssl);
    unsigned long error = ERR_peek_last_error();
    int reason = ERR_GET_REASON(error);
    if (verified != X509_V_OK) {
        failed = -EACCES;
        snprintf(why, SEAL_WHY, "its certificate is not trusted: %s", X509_verify_cert_error_string(verified));
    } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        failed = -EACCES;
        snprintf(why, SEAL_WHY, "it showed no certificate");
    } else if (reason > SSL_AD_REASON_OFFSET && failed == -EPROTO) { /* it sent an alert: it trusts us not */
        failed = -EACCES;
        snprintf(why, SEAL_WHY, "it refused: %s", ERR_reason_error_string(error));
    } else if (failed == -EPIPE || failed == -ECONNRESET) {
        failed = -EPIPE;
        snprintf(why, SEAL_WHY, "hung up before TLS was agreed");
    } else {
        const char *text = error ? ERR_reason_error_string(error) : NULL;
        snprintf(why, SEAL_WHY, "it speaks no TLS: %s", text ? text : "nothing that is known");
    }
    ERR_clear_error();
    return failed;
}

/* The result of a read or write that did not succeed. */
static ssize_t stopped(struct session *session, int result, int *waits)
{
    int failed = outcome(session, result);
    ERR_clear_error();
    if (failed < 0)
        return failed;
    *waits = failed;
    return -EAGAIN;
}

ssize_t tls_read(void *handle, void *bytes, size_t size, bool keep, int *waits)
{
    struct session *session = handle;
    size_t got = 0;
    if (session->broken)
        return session->failed ? session->failed : session->ended ? 0 : -EPROTO;
    ERR_clear_error();
    int result = keep ? SSL_peek_ex(session->ssl, bytes, size, &got) : SSL_read_ex(session->ssl, bytes, size, &got);
    if (result == 1)
        return (ssize_t)got;
    ssize_t failed = stopped(session, result, waits);
    return failed == -EPIPE ? 0 : failed;
}

ssize_t tls_write(void *handle, const void *bytes, size_t size, int *waits)
{
    struct session *session = handle;
    size_t sent = 0;
    if (session->broken || session->unsent)
        return session->unsent ? session->unsent : session->failed ? session->failed : -EPIPE;
    ERR_clear_error();
    int result = SSL_write_ex(session->ssl, bytes, size, &sent);
    return result == 1 ? (ssize_t)sent : stopped(session, result, waits);
}

size_t tls_pending(void *handle)
{
    const struct session *session = handle;
    int pending = SSL_pending(session->ssl);
    return pending > 0 ? (size_t)pending : 0;
}

void tls_close(void *handle)
{
    struct session *session = handle;
    ERR_clear_error();
    if (session->agreed && !session->broken)
        SSL_shutdown(session->ssl);
    ERR_clear_error();
}
