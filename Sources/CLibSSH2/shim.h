// libssh2's calls are macros over _ex functions in places; Swift imports functions only, so callers use the _ex forms.
#pragma once
#include <libssh2.h>
