#include "textflag.h"

// The low half multiplies a block's first eight bytes, the high half the others.
DATA by1024<>+0(SB)/8, $0x8757d71d4fcc1000 // x^1087
DATA by1024<>+8(SB)/8, $0xd7d86b2af73de740 // x^1023
GLOBL by1024<>(SB), RODATA|NOPTR, $16
DATA by128<>+0(SB)/8, $0xe05dd497ca393ae4 // x^191
DATA by128<>+8(SB)/8, $0xdabe95afc7875f40 // x^127
GLOBL by128<>(SB), RODATA|NOPTR, $16

DATA by2048<>+0(SB)/8, $0x8260adf2381ad81c // x^2111
DATA by2048<>+8(SB)/8, $0xf31fd9271e228b79 // x^2047
GLOBL by2048<>(SB), RODATA|NOPTR, $16

DATA by4096<>+0(SB)/8, $0x6b6563c31e5df640 // x^4159
DATA by4096<>+8(SB)/8, $0x430af18f45bfec70 // x^4095
GLOBL by4096<>(SB), RODATA|NOPTR, $16

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

// WIDE moves two blocks at once on by as many bits as Y15 says and adds the two at off; t is scratch.
#define WIDE(off, y, t) \
	VPCLMULQDQ $0x11, Y15, y, t \
	VPCLMULQDQ $0x00, Y15, y, y \
	VPXOR      off(SI), y, y    \
	VPXOR      t, y, y

// MERGE moves x on and adds it to y.
#define MERGE(x, y) \
	VPCLMULQDQ $0x11, Y15, x, Y8 \
	VPCLMULQDQ $0x00, Y15, x, x  \
	VPXOR      x, y, y           \
	VPXOR      Y8, y, y

// func foldWide(raw uint64, p *byte, n int, out *[16]byte)
TEXT ·foldWide(SB), NOSPLIT, $0-32
	VMOVQ raw+0(FP), X8
	MOVQ  p+8(FP), SI
	MOVQ  n+16(FP), CX
	MOVQ  out+24(FP), DI
	VMOVDQU 0(SI), Y0
	VMOVDQU 32(SI), Y1
	VMOVDQU 64(SI), Y2
	VMOVDQU 96(SI), Y3
	VMOVDQU 128(SI), Y4
	VMOVDQU 160(SI), Y5
	VMOVDQU 192(SI), Y6
	VMOVDQU 224(SI), Y7
	VPXOR Y8, Y0, Y0
	ADDQ  $256, SI
	SUBQ  $256, CX
	CMPQ  CX, $256
	JLT   merge
	VBROADCASTI128 by2048<>(SB), Y15

loop:
	WIDE(0, Y0, Y8)
	WIDE(32, Y1, Y9)
	WIDE(64, Y2, Y10)
	WIDE(96, Y3, Y11)
	WIDE(128, Y4, Y8)
	WIDE(160, Y5, Y9)
	WIDE(192, Y6, Y10)
	WIDE(224, Y7, Y11)
	ADDQ $256, SI
	SUBQ $256, CX
	CMPQ CX, $256
	JGE  loop

merge:
	VBROADCASTI128 by1024<>(SB), Y15
	MERGE(Y0, Y4)
	MERGE(Y1, Y5)
	MERGE(Y2, Y6)
	MERGE(Y3, Y7)
	VMOVDQU      X4, X0
	VEXTRACTI128 $1, Y4, X1
	VMOVDQU      X5, X2
	VEXTRACTI128 $1, Y5, X3
	VMOVDQU      X6, X4
	VEXTRACTI128 $1, Y6, X5
	VMOVDQU      X7, X6
	VEXTRACTI128 $1, Y7, X7
	VZEROUPPER
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

// VAST moves four blocks at once on by 4,096 bits and adds the four at off; t is scratch.
#define VAST(off, y, t) \
	VPCLMULQDQ $0x11, Z15, y, t      \
	VPCLMULQDQ $0x00, Z15, y, y      \
	VPTERNLOGQ $0x96, off(SI), t, y

// func foldVast(raw uint64, p *byte, n int, out *[512]byte)
TEXT ·foldVast(SB), NOSPLIT, $0-32
	VMOVQ     raw+0(FP), X8
	MOVQ      p+8(FP), SI
	MOVQ      n+16(FP), CX
	MOVQ      out+24(FP), DI
	VMOVDQU64 0(SI), Z0
	VMOVDQU64 64(SI), Z1
	VMOVDQU64 128(SI), Z2
	VMOVDQU64 192(SI), Z3
	VMOVDQU64 256(SI), Z4
	VMOVDQU64 320(SI), Z5
	VMOVDQU64 384(SI), Z6
	VMOVDQU64 448(SI), Z7
	VPXORQ    Z8, Z0, Z0
	ADDQ      $512, SI
	SUBQ      $512, CX
	CMPQ      CX, $512
	JLT       store
	VBROADCASTI32X4 by4096<>(SB), Z15

loop:
	VAST(0, Z0, Z8)
	VAST(64, Z1, Z9)
	VAST(128, Z2, Z10)
	VAST(192, Z3, Z11)
	VAST(256, Z4, Z12)
	VAST(320, Z5, Z13)
	VAST(384, Z6, Z14)
	VAST(448, Z7, Z8)
	ADDQ $512, SI
	SUBQ $512, CX
	CMPQ CX, $512
	JGE  loop

store:
	VMOVDQU64 Z0, 0(DI)
	VMOVDQU64 Z1, 64(DI)
	VMOVDQU64 Z2, 128(DI)
	VMOVDQU64 Z3, 192(DI)
	VMOVDQU64 Z4, 256(DI)
	VMOVDQU64 Z5, 320(DI)
	VMOVDQU64 Z6, 384(DI)
	VMOVDQU64 Z7, 448(DI)
	VZEROUPPER
	RET
