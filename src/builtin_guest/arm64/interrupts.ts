/**
 * Drivers for the GICv3 (Arm IHI 0069) and the generic timer, as far as a guest needs them that has its interrupts as
 * PPIs and SGIs.
 */
import {
  GUEST_EVTCHN_PPI,
  GUEST_GICV3_GICD_BASE,
  GUEST_GICV3_GICR0_BASE,
  GUEST_TIMER_VIRT_PPI,
} from '../../abi/index.js';
import { kernelBase, own } from './layout.js';
import { panic } from './words.js';

const distributor = BigInt(kernelBase) + GUEST_GICV3_GICD_BASE;
const redistributors = BigInt(kernelBase) + GUEST_GICV3_GICR0_BASE;
/** GICD_CTLR: affinity routing, both groups as in the Non-secure view. */
const distributorOn = 0x13;
/** A redistributor has two frames of 64 KiB: its own, and the one for SGIs and PPIs. */
const frames = { each: 0x2_0000, private: 0x1_0000 } as const;
const redistributor = { typer: 8, waker: 0x14 } as const;
const waker = { processorSleep: 1 << 1, childrenAsleep: 2 } as const;
const privateFrame = { group: 0x80, enable: 0x100, disable: 0x180, priority: 0x400 } as const;
/** The SGI by which CPUs call each other. It differs from those that Linux uses first. */
export const callSgi = 7;
const enabled = 2 ** GUEST_EVTCHN_PPI + 2 ** GUEST_TIMER_VIRT_PPI + 2 ** callSgi;

export const interrupts = `
start_distributor:
    mov     x0, #${distributor}
    mov     w1, #${distributorOn}
    str     w1, [x0]
    ret

// Finds this CPU's redistributor by its affinity, wakes it and enables its interrupts. Changes X0 to X4.
start_redistributor:
    mov     x0, #${redistributors}
    ldr     x1, [x28, #${own.mpidr}]
1:  ldr     x2, [x0, #${redistributor.typer}]
    lsr     x3, x2, #32
    cmp     x3, x1
    b.eq    2f
    tbnz    w2, #4, no_redistributor
    mov     x3, #${frames.each}
    add     x0, x0, x3
    b       1b
2:  str     x0, [x28, #${own.redistributor}]
    ldr     w2, [x0, #${redistributor.waker}]
    mov     w3, #${waker.processorSleep}
    bic     w2, w2, w3
    str     w2, [x0, #${redistributor.waker}]
3:  ldr     w2, [x0, #${redistributor.waker}]
    tbnz    w2, #${waker.childrenAsleep}, 3b
    mov     x2, #${frames.private}
    add     x0, x0, x2
    mov     w1, #0xffffffff
    str     w1, [x0, #${privateFrame.group}]
    mov     w1, #0xa0a0a0a0
    mov     x2, #0
    add     x3, x0, #${privateFrame.priority}
4:  str     w1, [x3, x2, lsl #2]
    add     x2, x2, #1
    cmp     x2, #8
    b.lo    4b
    mov     w1, #${enabled}
    str     w1, [x0, #${privateFrame.enable}]
    // The CPU interface: system registers, a priority mask that admits every priority, group 1.
    mrs     x1, icc_sre_el1
    orr     x1, x1, #1
    msr     icc_sre_el1, x1
    isb
    mov     x1, #0xf0
    msr     icc_pmr_el1, x1
    msr     icc_bpr1_el1, xzr
    msr     icc_ctlr_el1, xzr
    mov     x1, #1
    msr     icc_igrpen1_el1, x1
    isb
    ret

no_redistributor:
    ${panic('a CPU without a redistributor')}

// Sends the SGI to the CPU whose area is at X22. A target list can name 16 CPUs of one AFF1.
send_sgi:
    ldr     x1, [x22, #${own.mpidr}]
    and     x2, x1, #0xf
    mov     x3, #1
    lsl     x3, x3, x2
    lsr     x1, x1, #8
    and     x1, x1, #0xff
    orr     x3, x3, x1, lsl #16
    mov     x1, #${2 ** 24 * callSgi}
    orr     x3, x3, x1
    dsb     sy
    msr     icc_sgi1r_el1, x3
    isb
    mov     x0, #0
    ret

// Handles the virtual timer: turns it off, which clears its interrupt.
timer_interrupt:
    msr     cntv_ctl_el0, xzr
    isb
    ldr     x0, [x28, #${own.ticks}]
    add     x0, x0, #1
    str     x0, [x28, #${own.ticks}]
    ldr     x1, [x28, #${own.passesFaults}]
    mov     x0, #200
    cbnz    x1, set_timer
    ret

// Disables interrupt X0, which has no handler.
unhandled_interrupt:
    lsr     x1, x0, #5
    mov     w2, #1
    lsl     w2, w2, w0
    ldr     x3, [x28, #${own.redistributor}]
    mov     x4, #${frames.private}
    add     x3, x3, x4
    cbz     x1, 1f
    mov     x3, #${distributor}
1:  add     x3, x3, #${privateFrame.disable}
    str     w2, [x3, x1, lsl #2]
    ret

// Sets the virtual timer to fire in X0 microseconds. Changes X1 and X2.
set_timer:
    mrs     x1, cntfrq_el0
    mul     x0, x0, x1
    mov     x1, #1000000
    udiv    x0, x0, x1
    mrs     x1, cntvct_el0
    add     x0, x0, x1
    msr     cntv_cval_el0, x0
    mov     x1, #1
    msr     cntv_ctl_el0, x1
    isb
    ret`;
