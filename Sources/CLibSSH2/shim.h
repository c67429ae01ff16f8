// libssh2's calls are macros over _ex functions in places; Swift imports functions only, so callers use the _ex forms.
#pragma once
#include <libssh2.h>
#include <stddef.h>
#if defined(__APPLE__)
#include <malloc/malloc.h>
#else
#include <malloc.h>
#endif

// How many bytes of an allocation may be read: what the packet observer may look at before a buffer is freed.
static inline size_t clibssh2_allocated_size(void *pointer) {
#if defined(__APPLE__)
    return malloc_size(pointer);
#else
    return malloc_usable_size(pointer);
#endif
}

typedef ssize_t (*clibssh2_receive)(libssh2_socket_t, void *, size_t, int, void **);

// Puts a function in the place of the session's own receive function and returns the one before it. Behind a shim because 1.11.1 renamed
// the call and deprecated the old name.
static inline clibssh2_receive clibssh2_exchange_receive(LIBSSH2_SESSION *session, clibssh2_receive function) {
#if LIBSSH2_VERSION_NUM >= 0x010b01
    return (clibssh2_receive)libssh2_session_callback_set2(
        session, LIBSSH2_CALLBACK_RECV, (libssh2_cb_generic *)function);
#else
    return (clibssh2_receive)libssh2_session_callback_set(session, LIBSSH2_CALLBACK_RECV, (void *)function);
#endif
}
