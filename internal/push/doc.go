// Package push is the vocabulary and the rules of minipush: tasks, recipients, permits, reasons, refusals,
// and the small language of template fields. It is pure: no I/O, no clock, nothing of ours imported.
//
// # Task
//
//	draft ──send──────────────► sending ◄──► paused ──► canceled
//	  ▲  └─send at─► scheduled ──┘  └──► done
//	  └─unschedule──┘ │ └► canceled
//	                  └► missed (may be scheduled again)
//
// A pause has a set of causes and ends when the set is empty. [TaskState.CanMove] holds the arrows.
//
// # Recipient
//
//	pending ──► sending ──► sent | failed | unknown
//	   ▲  │        │
//	   │  │        └──► pending   (permit given back, another to try, or ambiguous: the permit stays with the row)
//	   │  ├──► skipped
//	   └──┴──► waiting ──► pending
//	unknown ──► sent | failed     (reconciled)
//
// [RecipientState.CanMove] holds the arrows. No other move exists.
package push
