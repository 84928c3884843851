/* A libnvidia-ml.so.1 for machines without an NVIDIA GPU: the calls that app/adapters/gpus/nvml.py makes.
 *
 * The file named by FAKE_NVML_STATE is read anew at every call. Its lines, with GPUs numbered from 0:
 *   gpus N                 how many there are
 *   lose I                 GPU I is lost: it keeps its index, and every call about it fails
 *   remove I               GPU I is not there at all: later ones move to a lower index
 *   refuse I READING       name, memory, utilisation, temperature, power, mig, processes or events is not supported
 *   process I PID MIB      a compute process uses GPU I; -1 MiB means that its memory is not available
 *   graphics I PID MIB     likewise, a graphics process
 *   mig I                  MIG mode is enabled on GPU I
 *   xid N I CODE           the N-th XID error, of GPU I: told once to every event set that GPU I was registered with by then
 *   gone CODE              every call fails with CODE, and later ones too until as many shutdowns as initialisations
 *   slow SECONDS           every call takes that long, or until the file says otherwise
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, TIMEOUT = 10, GPU_IS_LOST = 15 };
enum { MAX_GPUS = 64, MAX_PROCESSES = 64, MAX_XIDS = 64, MAX_SETS = 256, TICK_MS = 20, XID_EVENTS = 8 };

typedef struct { unsigned long gpu; unsigned pid; long mib; int graphics; } process_t;
typedef struct { unsigned long number, gpu; unsigned code; } xid_t;
typedef struct {
    unsigned gpus;
    int gone;
    double slow;
    int lost[MAX_GPUS], removed[MAX_GPUS], mig[MAX_GPUS];
    char refused[MAX_GPUS][160];
    unsigned process_count;
    process_t processes[MAX_PROCESSES];
    unsigned xid_count;
    xid_t xids[MAX_XIDS];
} state_t;

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned gpu, memory; } utilisation_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process_info_t;

typedef struct { void *device; unsigned long long type, data; unsigned gpu_instance, compute_instance; } event_data_t;
/* `told` is the number of the last event that is known to the set, or came before GPU `handle` was registered. */
typedef struct { int used; void *handle; unsigned long told; } event_set_t;

static int references, stale;
static unsigned initialisations, misuses;
static event_set_t sets[MAX_SETS];

/* For tests: how often the library was initialised, how many event sets there are, how often one was used that had
 * been freed or was of an earlier initialisation, and to begin anew. */
unsigned fake_nvml_initialisations(void) { return initialisations; }
unsigned fake_nvml_event_sets(void) {
    unsigned count = 0;
    for (unsigned i = 0; i < MAX_SETS; i++) count += (unsigned)sets[i].used;
    return count;
}
unsigned fake_nvml_misuses(void) { return misuses; }
void fake_nvml_forget(void) {
    references = stale = 0;
    misuses = 0;
    memset(sets, 0, sizeof sets);
}

static void read_state(state_t *s) {
    char line[200], word[80];
    unsigned long i;
    process_t p;
    xid_t x;
    const char *path = getenv("FAKE_NVML_STATE");
    FILE *file = path ? fopen(path, "r") : NULL;
    memset(s, 0, sizeof *s);
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "gpus %u", &s->gpus) == 1 && s->gpus > MAX_GPUS) s->gpus = MAX_GPUS;
        sscanf(line, "gone %d", &s->gone);
        sscanf(line, "slow %lf", &s->slow);
        if (sscanf(line, "lose %lu", &i) == 1 && i < MAX_GPUS) s->lost[i] = 1;
        if (sscanf(line, "remove %lu", &i) == 1 && i < MAX_GPUS) s->removed[i] = 1;
        if (sscanf(line, "mig %lu", &i) == 1 && i < MAX_GPUS) s->mig[i] = 1;
        if (sscanf(line, "refuse %lu %79s", &i, word) == 2 && i < MAX_GPUS) {
            size_t length = strlen(s->refused[i]);
            snprintf(s->refused[i] + length, sizeof s->refused[i] - length, " %s ", word);
        }
        if (sscanf(line, "xid %lu %lu %u", &x.number, &x.gpu, &x.code) == 3 && s->xid_count < MAX_XIDS)
            s->xids[s->xid_count++] = x;
        p.graphics = !strncmp(line, "graphics", 8);
        if (sscanf(line, "%79s %lu %u %ld", word, &p.gpu, &p.pid, &p.mib) == 4 && strcmp(word, "xid") &&
            s->process_count < MAX_PROCESSES)
            s->processes[s->process_count++] = p;
    }
    if (file) fclose(file);
}

/* The state that a call is answered from, after as long as calls take; not SUCCESS if NVML is gone. */
static int enter(state_t *s) {
    read_state(s);
    for (double waited = 0; waited < s->slow; waited += TICK_MS / 1000.0) {
        usleep(TICK_MS * 1000);
        read_state(s);
    }
    if (s->gone) stale = references > 0;
    return s->gone ? s->gone : references && !stale ? SUCCESS : UNINITIALIZED;
}

/* The same for a call about one GPU and, unless NULL, one reading of it. A handle is the GPU's number plus one. */
static int enter_gpu(state_t *s, void *handle, const char *reading) {
    unsigned long i = (unsigned long)handle - 1;
    char word[80];
    int rc = enter(s);
    if (rc) return rc;
    if (i >= s->gpus) return INVALID_ARGUMENT;
    if (s->lost[i] || s->removed[i]) return GPU_IS_LOST;
    if (!reading) return SUCCESS;
    snprintf(word, sizeof word, " %s ", reading);
    return strstr(s->refused[i], word) ? NOT_SUPPORTED : SUCCESS;
}

int nvmlInitWithFlags(unsigned flags) {
    state_t s;
    int rc;
    (void)flags;
    initialisations++;
    references++;
    rc = enter(&s);
    if (s.gone) references--;
    return s.gone ? rc : SUCCESS;
}

int nvmlShutdown(void) {
    state_t s;
    int rc = enter(&s);
    if (references == 0) return UNINITIALIZED;
    if (--references == 0) {
        stale = 0;
        memset(sets, 0, sizeof sets);
    }
    return s.gone ? rc : SUCCESS;
}

const char *nvmlErrorString(int code) {
    (void)code;
    return "Unknown Error";
}

int nvmlSystemGetDriverVersion(char *out, unsigned length) {
    state_t s;
    int rc = enter(&s);
    if (!rc) snprintf(out, length, "550.00");
    return rc;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    state_t s;
    int rc = enter(&s);
    *count = 0;
    for (unsigned i = 0; i < s.gpus; i++) *count += !s.removed[i];
    return rc;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    state_t s;
    int rc = enter(&s);
    if (rc) return rc;
    for (unsigned long i = 0; i < s.gpus; i++) {
        if (s.removed[i] || index--) continue;
        *handle = (void *)(i + 1);
        return s.lost[i] ? GPU_IS_LOST : SUCCESS;
    }
    return INVALID_ARGUMENT;
}

int nvmlDeviceGetUUID(void *handle, char *out, unsigned length) {
    state_t s;
    int rc = enter_gpu(&s, handle, NULL);
    if (!rc) snprintf(out, length, "GPU-fa4e0000-0000-4000-8000-%012lx", (unsigned long)handle - 1);
    return rc;
}

int nvmlDeviceGetName(void *handle, char *out, unsigned length) {
    state_t s;
    int rc = enter_gpu(&s, handle, "name");
    if (!rc) snprintf(out, length, "Fake A100");
    return rc;
}

int nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2_t *out) {
    state_t s;
    int rc = enter_gpu(&s, handle, "memory");
    if (rc) return rc;
    out->total = 40ULL << 30;
    out->reserved = 512ULL << 20;
    out->used = 0;
    for (unsigned i = 0; i < s.process_count; i++)
        if (s.processes[i].gpu == (unsigned long)handle - 1 && s.processes[i].mib > 0)
            out->used += (unsigned long long)s.processes[i].mib << 20;
    out->free = out->total - out->reserved - out->used;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(void *handle, utilisation_t *out) {
    state_t s;
    int rc = enter_gpu(&s, handle, "utilisation");
    if (!rc) *out = (utilisation_t){17, 5};
    return rc;
}

int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *out) {
    state_t s;
    int rc = enter_gpu(&s, handle, "temperature");
    if (!rc) *out = 41;
    return sensor ? INVALID_ARGUMENT : rc;
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) {
    state_t s;
    int rc = enter_gpu(&s, handle, "power");
    if (!rc) *milliwatts = 61500;
    return rc;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    state_t s;
    int rc = enter_gpu(&s, handle, "mig");
    if (!rc) *current = *pending = (unsigned)s.mig[(unsigned long)handle - 1];
    return rc;
}

static int processes(void *handle, int graphics, unsigned *count, process_info_t *out) {
    state_t s;
    unsigned room = out ? *count : 0, found = 0;
    int rc = enter_gpu(&s, handle, "processes");
    if (rc) return rc;
    for (unsigned i = 0; i < s.process_count; i++) {
        process_t *p = &s.processes[i];
        if (p->gpu != (unsigned long)handle - 1 || p->graphics != graphics) continue;
        if (found < room)
            out[found] = (process_info_t){p->pid, p->mib < 0 ? ~0ULL : (unsigned long long)p->mib << 20, ~0U, ~0U};
        found++;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process_info_t *out) {
    return processes(handle, 0, count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, process_info_t *out) {
    return processes(handle, 1, count, out);
}

int nvmlEventSetCreate(event_set_t **out) {
    state_t s;
    int rc = enter(&s);
    for (unsigned i = 0; !rc && i < MAX_SETS; i++) {
        if (sets[i].used) continue;
        sets[i] = (event_set_t){1, NULL, 0};
        *out = &sets[i];
        return SUCCESS;
    }
    return rc ? rc : INVALID_ARGUMENT;
}

int nvmlEventSetFree(event_set_t *set) {
    state_t s;
    int rc = enter(&s);
    if (!set->used) return misuses++, INVALID_ARGUMENT;
    set->used = 0;
    return rc;
}

int nvmlDeviceRegisterEvents(void *handle, unsigned long long types, event_set_t *set) {
    state_t s;
    int rc = enter_gpu(&s, handle, "events");
    if (rc) return rc;
    misuses += !set->used;
    if (!set->used || set->handle || types != XID_EVENTS) return INVALID_ARGUMENT;
    set->handle = handle;
    for (unsigned i = 0; i < s.xid_count; i++)
        if (s.xids[i].number > set->told) set->told = s.xids[i].number;
    return SUCCESS;
}

/* A GPU that is lost has its last events told, then none any more, not even when it is there again. */
int nvmlEventSetWait_v2(event_set_t *set, event_data_t *out, unsigned timeout_ms) {
    state_t s;
    int rc = enter(&s);
    unsigned long gpu = (unsigned long)set->handle - 1;
    misuses += !set->used;
    if (rc) return rc;
    if (!set->used) return INVALID_ARGUMENT;
    for (unsigned i = 0; set->handle && i < s.xid_count; i++) {
        if (s.xids[i].gpu != gpu || s.xids[i].number <= set->told) continue;
        set->told = s.xids[i].number;
        *out = (event_data_t){set->handle, XID_EVENTS, s.xids[i].code, ~0U, ~0U};
        return SUCCESS;
    }
    usleep(timeout_ms * 1000);
    if (set->handle && s.lost[gpu]) set->handle = NULL;
    return TIMEOUT;
}
