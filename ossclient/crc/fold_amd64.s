#include "textflag.h"

// The low half multiplies a block's first eight bytes, the high half the others.
DATA by1024<>+0(SB)/8, $0x8757d71d4fcc1000 // x^1087
DATA by1024<>+8(SB)/8, $0xd7d86b2af73de740 // x^1023
GLOBL by1024<>(SB), RODATA|NOPTR, $16
DATA by128<>+0(SB)/8, $0xe05dd497ca393ae4 // x^191
DATA by128<>+8(SB)/8, $0xdabe95afc7875f40 // x^127
GLOBL by128<>(SB), RODATA|NOPTR, $16

// BLOCK moves x on by 1,024 bits and adds the block at off; t and u are scratch.
#define BLOCK(off, x, t, u) \
	MOVOU     off(SI), u       \
	MOVO      x, t             \
	PCLMULQDQ $0x00, X15, x    \
	PCLMULQDQ $0x11, X15, t    \
	PXOR      u, x             \
	PXOR      t, x

// JOIN moves x on by 128 bits and adds it to y.
#define JOIN(x, y) \
	MOVO      x, X8            \
	PCLMULQDQ $0x00, X15, x    \
	PCLMULQDQ $0x11, X15, X8   \
	PXOR      x, y             \
	PXOR      X8, y

// func fold(raw uint64, p *byte, n int, out *[16]byte)
TEXT ·fold(SB), NOSPLIT, $0-32
	MOVQ raw+0(FP), X8
	MOVQ p+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ out+24(FP), DI
	MOVOU 0(SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3
	MOVOU 64(SI), X4
	MOVOU 80(SI), X5
	MOVOU 96(SI), X6
	MOVOU 112(SI), X7
	PXOR  X8, X0
	ADDQ  $128, SI
	SUBQ  $128, CX
	CMPQ  CX, $128
	JLT   join
	MOVOU by1024<>(SB), X15

loop:
	BLOCK(0, X0, X8, X9)
	BLOCK(16, X1, X10, X11)
	BLOCK(32, X2, X12, X13)
	BLOCK(48, X3, X8, X9)
	BLOCK(64, X4, X10, X11)
	BLOCK(80, X5, X12, X13)
	BLOCK(96, X6, X8, X9)
	BLOCK(112, X7, X10, X11)
	ADDQ $128, SI
	SUBQ $128, CX
	CMPQ CX, $128
	JGE  loop

join:
	MOVOU by128<>(SB), X15
	JOIN(X0, X1)
	JOIN(X1, X2)
	JOIN(X2, X3)
	JOIN(X3, X4)
	JOIN(X4, X5)
	JOIN(X5, X6)
	JOIN(X6, X7)

rest:
	CMPQ  CX, $16
	JLT   done
	MOVOU (SI), X0
	JOIN(X7, X0)
	MOVO  X0, X7
	ADDQ  $16, SI
	SUBQ  $16, CX
	JMP   rest

done:
	MOVOU X7, (DI)
	RET
